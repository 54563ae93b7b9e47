"""A base model in fewer bits (`quantization`), which stays as it is while an adapter on it learns: QLoRA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

KINDS = ("nf4", "int8")


def arguments(kind: str, dtype: str, *, on_cpu: bool) -> dict[str, Any]:
    """Those of `from_pretrained`. The score of a reward model is learned, so it keeps its bits."""
    import torch
    from transformers import BitsAndBytesConfig

    with opening(kind):
        if kind == "int8":
            config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=["lm_head", "score"])
        else:
            compute = torch.bfloat16 if dtype == "auto" else getattr(torch, dtype)
            config = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=compute,
                llm_int8_skip_modules=["lm_head", "score"],
            )
    return {"quantization_config": config} | ({"device_map": {"": "cpu"}} if on_cpu else {})


def prepared(model: PreTrainedModel, *, gradient_checkpointing: bool) -> PreTrainedModel:
    """The model frozen, with its norms in float32, so that an adapter on it trains well."""
    from peft import prepare_model_for_kbit_training

    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=gradient_checkpointing)


def keep_scores_whole(model: PeftModel) -> None:
    """The layers that `modules_to_save` trains whole, back in float32, in which the last norm feeds them.

    TRL puts all that learns on a quantized model into bfloat16, which suits an adapter only.
    """
    for name, parameter in model.named_parameters():
        if ".modules_to_save." in name:
            parameter.data = parameter.data.float()


@contextmanager
def opening(kind: str) -> Iterator[None]:
    """Raises DreamError where bitsandbytes is not installed, or knows no device of this machine."""
    try:
        yield
    except ImportError:
        fail(
            "missing-package",
            f'`quantization: "{kind}"` needs bitsandbytes, which is not installed',
            hint="pip install bitsandbytes, or leave `quantization` out",
            exit_code=1,
        )
    except RuntimeError as error:
        said = " ".join(str(error).split())
        fail(
            "no-quantization",
            f'`quantization: "{kind}"` cannot run on this machine: {said if len(said) < 200 else said[:199] + "…"}',
            hint="leave `quantization` out, or train where bitsandbytes knows the device (CUDA, ROCm, XPU, a CPU)",
            exit_code=1,
        )
