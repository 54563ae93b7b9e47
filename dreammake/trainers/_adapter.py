"""LoRA adapters: a new one on a model, an earlier one that learns on, and one that goes into the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import DreamError, fail, first_line
from dreammake.core.spelling import did_you_mean
from dreammake.trainers._options import generated

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

_NO_SHAPE = frozenset({"lora_dropout", "init_lora_weights"})
"""Arguments of `lora(...)` that an adapter may be trained on with others than it began with."""


def is_on(model: Any) -> bool:
    """Whether a model wears an adapter."""
    from peft import PeftModel

    return isinstance(model, PeftModel)


def check_modules(model: PreTrainedModel, lora: LoraConfig) -> None:
    """Raises DreamError where `lora(...)` names a layer that the model does not have."""
    from torch.nn import Embedding, Linear

    layers = [name for name, _ in model.named_modules()]
    for argument in ("target_modules", "modules_to_save"):
        wanted = getattr(lora, argument)
        for module in [] if wanted is None or isinstance(wanted, str) else sorted(wanted):
            if any(name == module or name.endswith(f".{module}") for name in layers):
                continue
            trained = {
                name.rpartition(".")[2] for name, layer in model.named_modules() if _is(layer, Linear, Embedding)
            }
            fail(
                "no-such-module",
                f"`{argument}` of `lora` names `{module}`, and the base model has no such layer",
                hint=did_you_mean(module, trained),
                exit_code=1,
            )


def _is(layer: Any, *kinds: type) -> bool:
    return isinstance(layer, kinds) or type(layer).__name__ == "Conv1D"


def continued(model: PreTrainedModel, adapter: str | Path, lora: LoraConfig, shown: str) -> PeftModel:
    """The model with an earlier adapter on it, ready to learn on. Raises DreamError where `lora` has another shape."""
    from peft import PeftConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict

    earlier = PeftConfig.from_pretrained(adapter)
    adapted = get_peft_model(model, lora)
    for name in generated("lora"):
        had, wanted = _plain(getattr(earlier, name)), _plain(getattr(lora, name))
        if name not in _NO_SHAPE and had != wanted:
            fail(
                "adapter-shape",
                f"the adapter {shown} has {name}={had!r}, and `peft` says {name}={wanted!r}",
                hint="write `lora(...)` as where the adapter was trained; or leave `peft` out, to train all weights",
                exit_code=1,
            )
    set_peft_model_state_dict(adapted, load_peft_weights(str(adapter), device="cpu"))
    return adapted


def merged(model: PreTrainedModel, adapter: str | Path) -> PreTrainedModel:
    """The model with an adapter put into its weights. The adapter may have been trained for another task."""
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(adapter)
    config.task_type = None  # else PEFT wants the methods of a text model on a reward model
    whole = PeftModel.from_pretrained(model, adapter, config=config).merge_and_unload()
    for weight in whole.parameters():
        weight.requires_grad_(weight.is_floating_point())  # PEFT froze them
    return whole


def moved(model: PeftModel, base: PreTrainedModel) -> PeftModel:
    """The adapter of one model on another base of the same shape."""
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    adapted = get_peft_model(base, model.peft_config["default"])
    weights = {name: weight.to("cpu") for name, weight in get_peft_model_state_dict(model).items()}
    set_peft_model_state_dict(adapted, weights)
    return adapted


@contextmanager
def opening(shown: str, base: str) -> Iterator[None]:
    """Raises DreamError where an adapter cannot be opened, or does not fit its base."""
    try:
        yield
    except DreamError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        fail(
            "no-such-model",
            f"the adapter {shown} cannot be put on {base}: {first_line(error)}",
            hint="`adapter` is a folder that `train` made with `peft` on the same base, or such a name on the Hub",
            exit_code=1,
        )


def _plain(value: Any) -> Any:
    """A field of PEFT's config, so that equal ones are equal: sets and tuples as sorted lists, nothing as None."""
    if isinstance(value, set | frozenset | list | tuple):
        return sorted(value, key=str) or None
    return value or None
