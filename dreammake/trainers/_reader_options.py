"""Options of the methods for models that read texts and write none: classifiers and embedding models."""

from __future__ import annotations

from typing import Any

from dreammake.core.options import Bool, Choice, Int, OptionSet, Str
from dreammake.trainers._options import Field


class ReaderOptions(OptionSet):
    """The base, and the run."""

    dtype = Choice("Number type of the weights.", "float32", "bfloat16", "float16", "auto", default="float32")
    revision = Str("Branch, tag or commit of the base model on the Hub.", default=None)
    trust_remote_code = Bool("Run code that comes with the base model.", default=False)
    logging_steps = Field(
        "Number of steps, or part of all of them, between two lines of the log.",
        kinds=("int", "float"),
        default=10,
        result=False,
    )
    save_total_limit = Int("How many checkpoints a running training keeps.", default=1, at_least=1, result=False)


class MeasuredOptions(OptionSet):
    """How it is measured while it learns."""

    eval_strategy = Field(
        'When the model is measured on the `eval` input; None is "epoch" where there is such an input.',
        kinds=("null",),
        choices=("no", "steps", "epoch"),
        default=None,
    )


def known_to_base(options: Any) -> dict[str, Any]:
    """What `from_pretrained` is told about the base, beside its number type."""
    named = {"revision": options.revision} if options.revision else {}
    return named | {"trust_remote_code": options.trust_remote_code}
