from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.judgement import Scale, score_form
from dreammake.core.options import Bool, Float, Text, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Spooled, Step, Work
from dreammake.steps._asked_rows import asked, columns_after
from dreammake.steps._asking import models_of
from dreammake.steps._judging import ExplainedOptions, Judgements, written_columns
from dreammake.steps._order import in_order, on_disk, order_of

if TYPE_CHECKING:
    import pyarrow as pa


class Rank(Step):
    """Asks a model for a score of each row, writes it as the column NAME, and puts the best rows first.

    The prompt says what to rate; the step adds on which `scale`, and how to answer. An answer has to give one number on
    the scale: `7`, `4.5.`, `**8**/10` or `Score: 7, because ...` are read; `7 or 8`, a number off the scale, or one
    somewhere in a sentence is none. It is asked for again, then null: such rows come last, and no `threshold` keeps
    them. Equal scores keep their order.
    """

    named = "column"
    paper = "RankWithPrompt"
    example = """
model critic: "a table of answers"
    engine: "scripted"
    answers: {"tide": "9/10", "grass": "Score: 6", "clock": "4.5."}

rule all:
    output: "data/best"
    rows: [{"line": "a clock stops"}, {"line": "salt on the tide"}, {"line": "grass holds the sky"}]
    rank beauty:
        model: critic
        prompt: "How beautiful is this line? {{ line }}"
        threshold: 5
"""

    class Options(ExplainedOptions):
        prompt = Text("What to rate, and by what.")
        scale = Scale(
            "The lowest and the highest score: told to the model, and no other is read. None: any number.",
            default=[1, 10],
        )
        sort = Bool("Whether rows are sorted by their score.", default=True)
        reverse = Bool("Highest score first.", default=True)
        threshold = Float("The lowest score of the rows that are kept.", default=None)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check_threshold(options)
        if name is None:
            return have
        columns = written_columns(name, options.explanation)
        return None if have is None else columns_after(have, columns)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        scored = asked(f"rank {name}", options, models_of(options), rows, _scores(options, name, rows.columns), work)
        if not options.sort:
            return scored
        return Rows(scored.columns, lambda: _sorted(on_disk(scored, work), name, options.reverse), scored.count)


def _check_threshold(options: Any) -> None:
    low, high = options.scale or (None, None)
    if low is not None and options.threshold is not None and not low <= options.threshold <= high:
        message = f"`threshold` is {options.threshold:g}, and scores go from {low:g} to {high:g}"
        raise Wrong(message, "give one on the `scale`", "out-of-range")


def _scores(options: Any, name: str, have: Sequence[str]) -> Judgements[float]:
    form = score_form(options.scale)
    least: float | None = options.threshold
    keeps = None if least is None else lambda value: value is not None and value >= least
    return Judgements(options, have, written_columns(name, options.explanation), form, keeps)


def _sorted(spooled: Spooled, name: str, reverse: bool) -> Iterator[pa.RecordBatch]:
    return in_order(spooled, order_of(spooled.table.column(name), reverse=reverse)).batches()
