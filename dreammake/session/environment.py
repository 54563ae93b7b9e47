"""Where a build runs: versions, system, GPUs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dreammake import __version__

PACKAGES = (
    "accelerate",
    "datasets",
    "huggingface_hub",
    "litellm",
    "peft",
    "pyarrow",
    "sentence-transformers",
    "setfit",
    "torch",
    "transformers",
    "trl",
    "vllm",
    "xllamacpp",
)
"""Those that can shape what is made."""


def environment_now() -> dict[str, Any]:
    """`dreammake`, `python`, `system`, `packages` (versions by name), and `gpus` where there are some."""
    gpus, machine = list(_gpus()), os.uname()
    return {
        "dreammake": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "system": f"{machine.sysname} {machine.release} {machine.machine}, {os.cpu_count()} CPUs",
        "packages": dict(versions_of(PACKAGES)),
        **({"gpus": gpus} if gpus else {}),
    }


def versions_of(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The versions of the packages that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _gpus() -> Iterator[str]:
    """The names of the GPUs, as NVIDIA's driver shows them."""
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                yield line.removeprefix("Model:").strip()
