from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.judgement import Form
from dreammake.core.options import Choice, Expression, Model, Text, Wrong
from dreammake.core.readers import yes_or_no
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._asked_rows import asked
from dreammake.steps._asking import models_of
from dreammake.steps._judging import Judgements, JudgingOptions
from dreammake.steps._row_values import RowValues

if TYPE_CHECKING:
    import pyarrow as pa

_YES_OR_NO = Form("answer", "yes or no", {"type": "string", "enum": ["yes", "no"]}, yes_or_no)


class Filter(Step):
    """Keeps the rows for which an expression over the columns is true: `filter: len(text) <= 280`.

    With `model` and `prompt` a model decides, by yes or no; the step adds how to answer. `Yes.`, `**yes**`,
    `Answer: no` and `No, because yes...` are read; an answer that says both, or only has the word somewhere in a
    sentence, is none: it is asked for again, and then the row is left out and stands in the error table.
    """

    value = "expression"
    asks_by = "prompt"
    paper = "filter, FilterWithPrompt"
    example = """
model reader: "a table of answers"
    engine: "scripted"
    answers: {"otter": "Yes.", "gear": "No, it is a thing."}

rule all:
    output: "data/animals"
    rows: [{"text": "an otter"}, {"text": "a gear"}, {"text": "an otter that floats on its back"}]
    filter: len(text) <= 10
    filter:
        model: reader
        prompt: "Is this an animal? {{ text }}"
"""

    class Options(JudgingOptions):
        expression = Expression("What is true of the rows to keep.", default=None)
        model = Model("The model that decides, in place of an expression.", default=None)
        prompt = Text("A question to be answered by yes for the rows to keep.", default=None)
        on_error = Choice(
            "What becomes of a row that failed, or whose answer is neither yes nor no: it is left out, or kept, or the "
            "job fails when all the others were asked. The error table has it in any case.",
            "skip",
            "keep",
            "fail",
            default="skip",
        )

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check(options)
        return have

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        if options.expression is None:
            keeps = lambda value: value is not False  # noqa: E731 - `on_error` decides on what cannot be read
            questions = Judgements(options, rows.columns, (), _YES_OR_NO, keeps)
            return asked("filter", options, models_of(options), rows, questions, work)
        values = RowValues(options.expression, rows.columns)

        def change(batch: pa.RecordBatch) -> pa.RecordBatch:
            import pyarrow as pa

            return batch.filter(pa.array([bool(value) for value in values.of(batch)], pa.bool_()))

        return rows.then(rows.columns, change)


def _check(options: Any) -> None:
    if options.expression is not None:
        given = [name for name, declared in options.declared().items() if options[name] != declared.default]
        for option in ("prompt", *given):
            if option != "expression" and option in given:
                message = f"`{option}` is for a model that decides, and there is an expression that does"
                raise Wrong(message, "put one of the two into a `filter` of its own", "conflicting-options")
    elif options.model is None and options.prompt is None:
        raise Wrong("`filter` has nothing to go by", "write `filter: len(text) > 0`", "missing-option")
    elif options.model is None or options.prompt is None:
        missing = "model" if options.model is None else "prompt"
        raise Wrong(f"`filter` by a model needs `model` and `prompt`: `{missing}` is missing", "", "missing-option")
