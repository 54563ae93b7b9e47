"""What the processes of one training, its ranks, do together. In a training of one process all of this is nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
U = TypeVar("U")


class OtherRankDone(BaseException):
    """The first rank writes the model folder alone, so the training of the others ends here."""


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def is_first() -> bool:
    return int(os.environ.get("RANK", 0)) == 0


def sharded() -> bool:
    """Whether each rank holds a part of the model only: `strategy: "fsdp"`."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def made_by() -> Mapping[str, Any]:
    """What a checkpoint belongs to: other numbers of processes cut the rows, and perhaps the model, in other ways."""
    if count() == 1:
        return {"processes": 1}
    return {"processes": count(), "strategy": "fsdp" if sharded() else "ddp"}


def check_sharded(model: nn.Module) -> str:
    """How the ranks hold the model, in words. Raises RuntimeError where it is not sharded and should be: a library that
    does not know the device may go on with whole models and say nothing."""
    from torch.distributed.fsdp import FSDPModule

    if not sharded():
        return f"{count()} processes, each with the whole model (ddp)"
    if not isinstance(model, FSDPModule):
        raise RuntimeError("the model was to be sharded, and it is not")
    parts = [parameter.to_local() for parameter in model.parameters() if hasattr(parameter, "to_local")]
    mine, all_ = (sum(one.numel() for one in found) for found in (parts, model.parameters()))
    return f"{count()} processes, each with a part of the model (fsdp): {mine:,} of {all_:,} parameters here"


def wait_for_all() -> None:
    if count() > 1:
        import torch

        torch.distributed.barrier()


def of_first(find: Callable[[], T]) -> T:
    """What the first rank finds, for all of them."""
    if count() == 1:
        return find()
    import torch

    found = [find() if is_first() else None]
    torch.distributed.broadcast_object_list(found, src=0)
    return found[0]  # type: ignore[return-value]


def through_first(mine: Sequence[T], answer: Callable[[list[T]], Sequence[U]]) -> Sequence[U]:
    """What `answer` gives for each of `mine`: the first rank calls it, once for what all ranks bring, in their order.

    All ranks call it, as often as each other."""
    if count() == 1:
        return answer([*mine])
    import torch

    brought: list[Any] = [None] * count()
    torch.distributed.all_gather_object(brought, [*mine])
    answers = of_first(lambda: answer([one for part in brought for one in part]))
    start = sum(map(len, brought[: torch.distributed.get_rank()]))
    return answers[start : start + len(mine)]


def gather(model: nn.Module) -> None:
    """Make a sharded model whole again in the first rank, in place, as a plain model in the CPU's memory.

    What comes after (merging, saving) so needs to know nothing of ranks. All ranks call it; those after the first one
    end here, by `OtherRankDone`.
    """
    if count() == 1:
        return
    from torch.distributed.fsdp import FSDPModule

    whole: dict[int, Any] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and hasattr(parameter, "full_tensor"):
                if id(parameter) not in whole:
                    whole[id(parameter)] = (_whole(parameter), parameter)
                module._parameters[name] = whole[id(parameter)][0]
    if not is_first():
        raise OtherRankDone
    for module in model.modules():
        if isinstance(module, FSDPModule):
            state = module._get_fsdp_state()
            state._pre_forward_hook_handle.remove()
            state._post_forward_hook_handle.remove()
            module.__class__ = module.__class__.__bases__[1]


def _whole(parameter: Any) -> nn.Parameter:
    from torch import nn

    tensor = parameter.full_tensor()
    return nn.Parameter(tensor.detach().cpu() if is_first() else tensor.new_empty(0), parameter.requires_grad)
