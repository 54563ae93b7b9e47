"""The model that training starts from: a folder or a hub name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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
