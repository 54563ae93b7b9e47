from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Int, Text
from dreammake.core.rows import BATCH_ROWS, Rows, batch_of_lists
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._answers import AnswerReader, Gathered, asking
from dreammake.steps._asking import AskingOptions, model_of, request_renderer

if TYPE_CHECKING:
    import pyarrow as pa


class Generate(Step):
    """Makes `count` rows, each an answer of a model to one and the same prompt, as the column NAME.

    The answers differ by chance, so the model's `temperature` is above 0. Raising `count` asks only for what is new.
    """

    named = "column"
    source = True
    paper = "DataFromPrompt"
    example = """
model writer: "a table of answers"
    engine: "scripted"
    answers: ["A fox counts the stars.", "Rain writes on the roof.", "The clock forgets noon."]

rule all:
    output: "data/openings"
    generate opening:
        model: writer
        count: 5
        prompt: "Write the first sentence of a story."
"""

    class Options(AskingOptions):
        prompt = Text("The user's message; there are no columns to read.")
        count = Int("How many answers.", unit="rows", at_least=0)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        return AnswerReader(options, name).columns if name is not None else ()

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return int(options.count)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        count = None if options.on_error == "skip" else options.count
        return Rows(AnswerReader(options, name).columns, lambda: _answered(options, name, work), count)


def _answered(options: Any, name: str, work: Work) -> Iterator[pa.RecordBatch]:
    request = request_renderer(options, ())({})
    gathered = Gathered(options, "generate", name, work, options.count)
    reader = gathered.answer_reader
    with asking(work.ask(model_of(options), repeat(request, options.count), reader.reader)) as answers:
        while gathered.rows < options.count:
            gathered.begin()
            for answer in islice(answers, BATCH_ROWS):
                gathered.add([answer], dict)
            if gathered.kept and not gathered.failures.lose_all:
                yield batch_of_lists(reader.columns, list(gathered.lists.values()))
        gathered.failures.check(gathered.rows)
