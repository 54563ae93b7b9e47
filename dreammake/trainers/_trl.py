"""What the methods that TRL trains have in common: the config, and PEFT's beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from dreammake.core.diagnostic import fail
from dreammake.core.options import OptionSet
from dreammake.core.trainer import Training
from dreammake.core.values import Function
from dreammake.trainers._options import generated

if TYPE_CHECKING:
    from peft import LoraConfig

Config = TypeVar("Config")


def config_of(kind: Callable[..., Config], method: str, options: OptionSet, training: Training) -> Config:
    """TRL's config: the options by their names, and what dreammake decides itself."""
    import torch

    on_cpu = options["use_cpu"] or not torch.accelerator.is_available()
    fields = {name: options[name] for name in generated(method)}
    fields |= {
        "output_dir": str(training.checkpoints),
        "eval_strategy": options["eval_strategy"] or ("no" if training.eval is None else "epoch"),
        "use_cpu": on_cpu,
        "dataloader_pin_memory": options["dataloader_pin_memory"] and not on_cpu,
        "disable_tqdm": True,
        "model_init_kwargs": None,
    }
    return checked(lambda: kind(**fields))


def checked(make: Callable[[], Config]) -> Config:
    """What `make` makes; a refusal of the library (options that exclude each other, say) becomes a DreamError."""
    try:
        return make()
    except (ValueError, ImportError) as error:
        message = " ".join(str(error).split()).rstrip(".")
        fail("refused-options", f"the training library refuses these options: {message}", exit_code=1)


def lora_config(call: Function | None) -> LoraConfig | None:
    """PEFT's config of `lora(...)` for a causal model."""
    if call is None:
        return None
    from peft import LoraConfig

    return checked(lambda: LoraConfig(**call.kwargs, task_type="CAUSAL_LM"))
