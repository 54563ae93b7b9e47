"""What can be known before anything heavy is begun: whether the training fits into memory and on the disk, how long the
examples are, under which licence the base is. Nothing here imports torch, and a fact that is not to be had is no error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.options import OptionSet
from dreammake.core.trainer import Training
from dreammake.core.values import Function
from dreammake.trainers._beforehand.base_facts import BaseFacts, base_facts
from dreammake.trainers._beforehand.lengths import lengths_of
from dreammake.trainers._beforehand.memory import Need, free_disk, in_bytes, need_of, room_of

_TIGHT = 0.8
"""The share of memory beyond which a training is told to be tight."""

Way = tuple[str, Mapping[str, Any]]
_SHORTER: Way = ('`dtype: "bfloat16"`', {"dtype": "bfloat16"})
_ADAPTER = {"peft": Function("lora", (), {"r": 8})}
_WITH_ADAPTER: tuple[Way, ...] = (_SHORTER, ('`quantization: "nf4"`', {"quantization": "nf4"}))
_WITHOUT_ADAPTER: tuple[Way, ...] = (
    _SHORTER,
    ("`peft: lora()`", _ADAPTER),
    ('`peft: lora()` and `dtype: "bfloat16"`', _ADAPTER | {"dtype": "bfloat16"}),
    ('`peft: lora()` and `quantization: "nf4"`', _ADAPTER | {"quantization": "nf4"}),
)
"""What lowers the memory that a training takes: words, and options; those that change least come first."""


def check(options: OptionSet, training: Training, *, sharded_over: int = 1) -> None:
    """Say what is known of a training, in its log. Over `sharded_over` devices the model is cut into parts.

    Raises DreamError `too-little-memory`, `disk-full` where it cannot go well.
    """
    if not training.base:
        return
    facts = base_facts(training, options.values.get("revision"))
    need = need_of(facts, options.values)
    if need is not None:
        training.say(_said(facts, need))
        _check_memory(facts, need, options, training, sharded_over)
        _check_disk(need, options, training)
    elif facts.licence:
        training.say(f"the base is under the licence {facts.licence}")
    lengths = None if facts.tokenizer is None else lengths_of(training.train, options, facts.tokenizer)
    if lengths is not None and lengths.over:
        training.tell(str(lengths))


def _said(facts: BaseFacts, need: Need) -> str:
    licence = f", licence {facts.licence}" if facts.licence else ""
    return (
        f"the base has {_count(facts.parameters or 0)} parameters{licence}; the training takes at least "
        f"{in_bytes(need.memory)}: {in_bytes(need.weights)} of weights, {in_bytes(need.gradients)} of gradients, "
        f"{in_bytes(need.optimizer)} of the optimizer"
    )


def _check_memory(facts: BaseFacts, need: Need, options: OptionSet, training: Training, sharded_over: int) -> None:
    room = room_of(options.values, training.gpus)
    if room is None:
        return
    place, size = room
    each = need.memory / sharded_over
    if each > size:
        smaller = "; ".join(_that_fit(facts, options, size * sharded_over))
        fail(
            "too-little-memory",
            f"the training takes at least {in_bytes(each)}, and {place} has {in_bytes(size)}",
            hint=smaller or "take a smaller base, or more GPUs: `resources: gpus:`",
            exit_code=1,
        )
    if each > _TIGHT * size:
        training.tell(f"memory is tight: at least {in_bytes(each)} of the {in_bytes(size)} that {place} has")


def _that_fit(facts: BaseFacts, options: OptionSet, size: float) -> Iterator[str]:
    """The options that make the training fit, each with what it then takes."""
    values = options.values
    for words, changes in _WITH_ADAPTER if values.get("peft") is not None else _WITHOUT_ADAPTER:
        if all(values.get(name, "not declared") in (None, "float32") for name in changes):
            need = need_of(facts, {**values, **changes})
            if need is not None and need.memory < _TIGHT * size:
                yield f"with {words} it takes {in_bytes(need.memory)}"


def _check_disk(need: Need, options: OptionSet, training: Training) -> None:
    saves = options.values.get("save_strategy", "no") != "no"
    wanted = need.saved + (need.checkpoint if saves else 0.0)
    free = free_disk(training.checkpoints)
    if wanted > free:
        what = "the model and one checkpoint take" if saves else "the model takes"
        lower = ', or write no checkpoints: `save_strategy: "no"`' if saves and need.saved < free else ""
        fail(
            "disk-full",
            f"the disk has {in_bytes(free)} left, and {what} about {in_bytes(wanted)}",
            hint=f"free some space{lower}",
            exit_code=1,
        )


def _count(number: float) -> str:
    """`135M`, `8.03B`."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"
