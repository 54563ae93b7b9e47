"""What the methods that TRL trains have in common: the config, and PEFT's beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from dreammake.core.diagnostic import fail
from dreammake.core.options import OptionSet
from dreammake.core.trainer import Training
from dreammake.core.values import Function
from dreammake.trainers import _loop
from dreammake.trainers._options import generated

if TYPE_CHECKING:
    from peft import LoraConfig

Config = TypeVar("Config")


def config_of(
    kind: Callable[..., Config], method: str, options: OptionSet, training: Training, **changes: Any
) -> Config:
    """A library's config: the options by their names, and what dreammake decides itself, where the config has them.

    `changes` are fields that the method decides.
    """
    on_cpu = uses_cpu(options)
    fields = {name: options[name] for name in generated(method)}
    eval_strategy = options.values.get("eval_strategy") or ("no" if training.eval is None else "epoch")
    fields |= {
        "output_dir": str(training.checkpoints),
        "eval_strategy": eval_strategy,
        **_loop.saving(fields, eval_strategy),
        "use_cpu": on_cpu,
        "dataloader_pin_memory": options["dataloader_pin_memory"] and not on_cpu,
        "disable_tqdm": True,
        "model_init_kwargs": None,
        **changes,
    }
    taken = inspect.signature(kind).parameters
    config = checked(lambda: kind(**{name: value for name, value in fields.items() if name in taken}))
    # Several GPUs have a process each; transformers would spread one process over all that it sees.
    config._n_gpu = min(getattr(config, "n_gpu", 1), 1)  # type: ignore[attr-defined]
    return config


def uses_cpu(options: OptionSet) -> bool:
    """Whether the training is on the CPU: by choice, or for want of anything else."""
    import torch

    return bool(options["use_cpu"]) or not torch.accelerator.is_available()


def checked(make: Callable[[], Config]) -> Config:
    """What `make` makes; a refusal of the library (options that exclude each other, say) becomes a DreamError."""
    try:
        return make()
    except (ValueError, ImportError, NotImplementedError) as error:
        message = " ".join(str(error).split()).rstrip(".")
        fail("refused-options", f"the training library refuses these options: {message}", exit_code=1)


def lora_config(call: Function | None, task: str = "CAUSAL_LM") -> LoraConfig | None:
    """PEFT's config of `lora(...)`; `task` is PEFT's word for what the model does."""
    if call is None:
        return None
    from peft import LoraConfig

    return checked(lambda: LoraConfig(**call.kwargs, task_type=task))
