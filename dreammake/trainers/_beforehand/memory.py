"""How much memory and disk a training takes at least, and how much there is. An estimate that is never too high: what
the texts take while they are read (activations) comes on top, and depends on their lengths."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreammake.core.values import Function
from dreammake.trainers._beforehand.base_facts import BaseFacts, Shapes

_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
_QUANTIZED = {"nf4": 0.5, "int8": 1.0}
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_BY_DEFAULT = ("q_proj", "v_proj", "query_key_value", "c_attn")
"""The layers that PEFT adapts where `target_modules` is left out, in most models."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes: the base as it lies in memory, and what learns, with gradients and the optimizer's state."""

    weights: float
    gradients: float
    optimizer: float
    saved: float
    """The model folder."""

    @property
    def memory(self) -> float:
        return self.weights + self.gradients + self.optimizer

    @property
    def checkpoint(self) -> float:
        return self.gradients + self.optimizer


def need_of(facts: BaseFacts, values: Mapping[str, Any]) -> Need | None:
    """What a training with these options takes; None where the base's size is not known."""
    if facts.parameters is None:
        return None
    dtype = _BYTES.get(str(values.get("dtype") or "float32")) or _stored(facts)
    lora = values.get("peft")
    bits = _QUANTIZED.get(str(values.get("quantization")), dtype)
    if lora is None:
        all_ = facts.parameters * dtype
        return Need(all_, all_, facts.parameters * _states(values) * dtype, all_)
    learning = sum(_adapted(facts.shapes or {}, lora))
    saved = facts.parameters * dtype if values.get("merge") else learning * 4.0
    return Need(facts.parameters * bits + learning * 4.0, learning * 4.0, learning * _states(values) * 4.0, saved)


def _stored(facts: BaseFacts) -> float:
    """Bytes a parameter takes in the base's files."""
    return facts.stored / facts.parameters if facts.stored and facts.parameters else 2.0


def _states(values: Mapping[str, Any]) -> float:
    """How many numbers the optimizer keeps for each that learns, at least."""
    optimizer = str(values.get("optim") or "adamw_torch")
    if "adam" not in optimizer or "mini" in optimizer:
        return 0.0
    return 0.5 if "8bit" in optimizer or "4bit" in optimizer else 2.0


def _adapted(shapes: Shapes, lora: Function) -> Iterator[int]:
    """The numbers of an adapter, for each layer that it is on."""
    wanted = lora.kwargs.get("target_modules") or _BY_DEFAULT
    rank = int(lora.kwargs.get("r") or 8)
    for name, shape in shapes.items():
        layer = name.removesuffix(".weight").rpartition(".")[2]
        linear = len(shape) == 2 and "embed" not in name and layer not in ("lm_head", "wte", "wpe", "shared")
        if linear and (wanted == "all-linear" or layer in wanted):
            yield rank * sum(shape)


def room_of(values: Mapping[str, Any], gpus: int) -> tuple[str, float] | None:
    """Where the training runs, and the bytes of memory there; None where that cannot be told."""
    if not values.get("use_cpu") and any(Path("/dev").glob("nvidia[0-9]*")):
        sizes = gpu_sizes()
        return ("a GPU here" if gpus > 1 else "the GPU", min(sizes)) if sizes else None
    return "this machine", _machine()


def gpu_sizes() -> list[float]:
    """The bytes of each GPU that this job may use, as the driver tells them."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    asked = [f"--id={shown}"] if shown else []
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", *asked]
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return [float(line) * 2**20 for line in told.split("\n") if line.strip()]
    return []


def _machine() -> float:
    """The memory of this machine, or of the container that this runs in."""
    found = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))]
    for place in _CGROUPS:
        with suppress(OSError, ValueError):
            found.append(float(Path(place).read_text()))
    return min(found)


def free_disk(folder: Path) -> float:
    return float(shutil.disk_usage(folder).free)


def in_bytes(amount: float) -> str:
    """`538 MB`, `16.1 GB`, `1.2 TB`."""
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if amount >= size:
            return f"{amount / size:,.3g} {unit}"
    return f"{amount / 1e6:,.0f} MB"
