from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

from dreammake.core.engine import Answer, Failure, Request
from dreammake.core.options import Int, Text, Texts
from dreammake.core.rows import Rows, with_column
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._answers import AnswerReader, Gathered, asking
from dreammake.steps._asking import AskingOptions, check_messages, model_of, request_renderer

if TYPE_CHECKING:
    import pyarrow as pa


class Prompt(Step):
    """Asks a model once for each row, and writes the answer, without blanks around it, as the column NAME.

    With `n` above 1 the column holds lists. With a `schema` the answer is a JSON object, and each of its fields a
    column, too; a text that does not fit is asked for again, and never guessed at. An answer is kept as soon as it
    comes, so a row is asked again only when its request changes: inserting, removing or reordering rows asks nothing
    again, and raising `n` asks the difference. Rows that failed are in the error table: `dreammake show TARGET
    --errors`.
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
        if have is None or name is None:
            return have
        return AnswerReader(options, name).after(have)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        count = None if options.on_error == "skip" else rows.count
        return Rows(
            AnswerReader(options, name).after(rows.columns), lambda: _answered(options, name, rows, work), count
        )


class _Batch:
    """A batch that waits for its answers: its requests, in order, and why rows have none, by their number."""

    def __init__(self, batch: pa.RecordBatch, request_of: Callable[[Mapping[str, Any]], Request]) -> None:
        from dreammake.lang.row import RowError

        self.batch = batch
        self.requests: list[Request] = []
        self.failed: dict[int, Failure] = {}
        for number, row in enumerate(batch.to_pylist()):
            try:
                self.requests.append(request_of(row))
            except RowError as error:
                self.failed[number] = Failure("row-error", f"{error.shown} fails: {error.reason}", error.hint)

    def values(self, number: int) -> dict[str, Any]:
        row: dict[str, Any] = self.batch.slice(number, 1).to_pylist()[0]
        return row


class _Stream:
    """Answers one by one."""

    def __init__(self, answers: Iterator[Answer]) -> None:
        self._answers = answers
        self._next: list[Answer] = []

    def more(self) -> bool:
        self._next = self._next or list(islice(self._answers, 1))
        return bool(self._next)

    def take(self, count: int) -> list[Answer]:
        taken, self._next = self._next, []
        return [*taken, *islice(self._answers, count - len(taken))]


def _answered(options: Any, name: str, rows: Rows, work: Work) -> Iterator[pa.RecordBatch]:
    """The batches with their answers. Requests are drawn ahead, so batches wait here for theirs."""
    request_of = request_renderer(options, rows.columns)
    waiting: deque[_Batch] = deque()

    def requests() -> Iterator[Request]:
        for batch in rows.batches():
            if batch.num_rows:
                waiting.append(_Batch(batch, request_of))
                for request in waiting[-1].requests:
                    yield from repeat(request, options.n)

    gathered = Gathered(options, "prompt", name, work, rows.count, many=options.n > 1)
    with asking(work.ask(model_of(options), requests(), gathered.answer_reader.reader)) as answers:
        stream = _Stream(answers)
        while waiting or stream.more():
            one = waiting.popleft()
            gathered.begin()
            for number in range(one.batch.num_rows):
                if number in one.failed:
                    gathered.fail(one.failed[number], partial(one.values, number), options.n)
                else:
                    gathered.add(stream.take(options.n), partial(one.values, number))
            if not gathered.failures.lose_all:
                yield _written(one.batch, gathered)
        gathered.failures.check(gathered.rows)


def _written(batch: pa.RecordBatch, gathered: Gathered) -> pa.RecordBatch:
    import pyarrow as pa

    if len(gathered.kept) < batch.num_rows:
        batch = batch.take(pa.array(gathered.kept, pa.int64()))
    for column, values in gathered.lists.items():
        batch = with_column(batch, column, values)
    return batch
