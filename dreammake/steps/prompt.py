from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

from dreammake.core.engine import Answer, Request
from dreammake.core.options import Int, Text, Texts
from dreammake.core.rows import Rows, add_column, with_column
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._asking import AskingOptions, Failures, check_messages, groups, model_of, request_renderer

if TYPE_CHECKING:
    import pyarrow as pa


class Prompt(Step):
    """Asks a model once for each row, and writes the answer, without blanks around it, as the column NAME.

    With `n` above 1 the column holds lists. An answer is kept as soon as it comes, so a row is asked again only when
    its request changes: inserting, removing or reordering rows asks nothing again, and raising `n` asks the difference.
    """

    named = "column"
    paper = "Prompt, ProcessWithPrompt"
    example = """
model poet: "a table of answers"
    engine: "scripted"
    answers: {"sea": "Salt on the tide's tongue.", "hill": "Grass that holds the sky."}

rule all:
    output: "data/verses"
    rows: [{"subject": "the sea"}, {"subject": "a hill"}]
    prompt verse:
        model: poet
        prompt: "Write one line about {{ subject }}."
"""

    class Options(AskingOptions):
        prompt = Text("The user's message.", default=None)
        messages = Texts("Chat messages in place of `prompt`: dicts with `role` and `content`.", default=None)
        n = Int("How many answers a row.", unit="answers", default=1, at_least=1)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        check_messages(options.prompt, options.messages)
        return super().columns(options, name, have, look)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        count = None if options.on_error == "skip" else rows.count
        return Rows(add_column(rows.columns, name), lambda: _answered(options, name, rows, work), count)


def _answered(options: Any, name: str, rows: Rows, work: Work) -> Iterator[pa.RecordBatch]:
    """The batches with their answers. Requests are drawn ahead, so batches wait here for theirs."""
    request_of = request_renderer(options.prompt, options.messages, options.system, rows.columns)
    waiting: deque[pa.RecordBatch] = deque()

    def requests() -> Iterator[Request]:
        drawn = 0
        for batch in rows.batches():
            if batch.num_rows:
                waiting.append(batch)
            for row in batch.to_pylist():
                yield from repeat(request_of(row, drawn), options.n)
                drawn += 1

    failures = Failures(options.on_error)
    answers = groups(work.ask(model_of(options), requests()), options.n)
    done = 0
    for first in answers:
        batch = waiting.popleft()
        texts: list[Any] = []
        kept: list[int] = []
        for row, group in enumerate(_then(first, islice(answers, batch.num_rows - 1))):
            cell = [failures.text(answer) for answer in group]
            if options.on_error != "skip" or all(answer.error is None for answer in group):
                kept.append(row)
                texts.append(cell if options.n > 1 else cell[0])
            done += 1
            work.progress(done, rows.count)
        if not failures.lose_all:
            yield with_column(batch if len(kept) == batch.num_rows else batch.take(kept), name, texts)
    failures.check()


def _then(first: list[Answer], more: Iterator[list[Answer]]) -> Iterator[list[Answer]]:
    yield first
    yield from more
