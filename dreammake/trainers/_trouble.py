"""What goes wrong in a training and is nobody's bug: memory or a disk that is full, a loss that is no number."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from dreammake.core.diagnostic import DreamError, fail
from dreammake.core.options import OptionSet
from dreammake.core.trainer import Training
from dreammake.trainers import _checkpoint
from dreammake.trainers._tokenizer import OUT_OF_RANGE, fail_of_tokens

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "Cannot allocate memory")
_NO_SPACE = (
    "No space left on device",
    "os error 28",
    "StorageFull",
    "PytorchStreamWriter failed",
    "inline_container.cc",
)
"""The last two are all that torch says where it cannot write a file to its end."""


@contextmanager
def in_words(options: OptionSet, training: Training) -> Iterator[None]:
    """Inside it, memory or a disk that is full, or a token that the model does not have, becomes a DreamError."""
    try:
        yield
    except DreamError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY):
            fail(
                "out-of-memory",
                "the training does not fit into the memory that there is",
                hint=_what_to_lower(options),
                exit_code=1,
            )
        if is_full_disk(error):
            full_disk("the model folder", training.checkpoints)
        if isinstance(error, IndexError) and str(error) == OUT_OF_RANGE:
            fail_of_tokens(str(options.values.get("base")))
        raise


def _what_to_lower(options: OptionSet) -> str:
    """What the options leave to be lowered, the kindest first: what does not change the result."""
    values = options.values
    found = []
    batch = values.get("per_device_train_batch_size") or 1
    if batch > 1:
        times = values.get("gradient_accumulation_steps") or 1
        found.append(
            f"halve the batch and make two of them a step: per_device_train_batch_size: {batch // 2}, "
            f"gradient_accumulation_steps: {times * 2}"
        )
    if values.get("gradient_checkpointing") is False:
        found.append("gradient_checkpointing: True")
    if values.get("max_length"):
        found.append(f"a `max_length` below {values['max_length']}")
    if values.get("peft", "") is None:
        found.append("an adapter in place of all weights: peft: lora(r=8)")
    return "; or ".join(found) or "take a smaller base model, or a smaller `dtype`"


def is_full_disk(error: BaseException) -> bool:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or any(text in str(error) for text in _NO_SPACE)


def full_disk(what: str, checkpoints: Path) -> NoReturn:
    """Raise `disk-full`, and say from where the next build goes on."""
    begun = max(map(_checkpoint.step_of, _checkpoint.complete(checkpoints)), default=0)
    kept = f"the training goes on from step {begun}" if begun else "the training begins anew, as it has no checkpoint"
    fail(
        "disk-full",
        f"the disk is full: {what} could not be written",
        hint=f"free some space and run the same command again: {kept}",
        exit_code=1,
    )


def not_a_number(what: str, step: int, checkpoints: Path) -> NoReturn:
    """Raise `nan-loss`, and say which checkpoint is still good."""
    good = max(map(_checkpoint.step_of, _checkpoint.complete(checkpoints)), default=0)
    kept = f" (the last good checkpoint is that of step {good})" if good else ""
    fail(
        "nan-loss",
        f"{what} at step {step}{kept}",
        hint="lower `learning_rate`, or raise `warmup_steps`; take bfloat16 in place of float16; look at the rows",
        exit_code=1,
    )
