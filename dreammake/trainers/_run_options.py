"""The options of a training's run: those that every method trained by torch has beside the options of its library."""

from __future__ import annotations

from dreammake.core.options import Choice, Float, Int, OptionSet


class RunOptions(OptionSet):
    """How a training is spread over GPUs, and when it is saved."""

    strategy = Choice(
        'With several GPUs: "ddp" puts the whole model on each, "fsdp" a part of it (default: "ddp" for adapters, '
        'else "fsdp").',
        "ddp",
        "fsdp",
        default=None,
        result=False,
    )
    checkpoint_minutes = Float(
        "A checkpoint is due so long after the last one, beside those of `save_steps`; 0: none by the clock.",
        unit="minutes",
        default=30.0,
        at_least=0,
        result=False,
    )


class StoppingOptions(OptionSet):
    """When a training stops early: for methods that are measured on an `eval` input."""

    early_stopping_patience = Int(
        "Stop after so many measurements on the `eval` input that are no better than the best one; None: never.",
        default=None,
        at_least=1,
    )
    early_stopping_threshold = Float("What counts as better: an improvement of more than this.", default=0.0)
