"""Asks models about rows: requests are drawn ahead, batches wait for their answers, what these say becomes columns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from dreammake.core.engine import Answer, Failure, Reader, Request
from dreammake.core.rows import Rows, add_column, with_column
from dreammake.core.step import Columns, Work
from dreammake.core.values import ModelSpec
from dreammake.steps._failures import Failures

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """What the answers about one row say: the value of each column.

    `failure` is why they do not say all that they should, and `answer` the text that could not be used. A row that is
    not `kept` is left out.
    """

    cells: Mapping[str, Any]
    failure: Failure | None = None
    answer: str | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """What each model is asked about one row, and how the answers are read: first all those of the first model."""

    requests: Sequence[Request]
    read: Callable[[Sequence[Answer]], Read]


class Questions(Protocol):
    """How a step asks about rows. `columns` are those that it writes; `reader` says which answers are asked again;
    `choosy`: rows may be left out though they were answered."""

    columns: Columns
    reader: Reader | None
    choosy: bool

    def meet(self, rows: Sequence[Row]) -> None:
        """Called with the rows of a batch before each is asked about."""

    def about(self, row: Row) -> Question:
        """Raises `lang.row.RowError` for a row that cannot be asked about."""

    def unanswered(self) -> Read:
        """What is read where nothing could be asked."""


def columns_after(have: Sequence[str], columns: Sequence[str]) -> Columns:
    """The columns with those written."""
    for column in columns:
        have = add_column(have, column)
    return tuple(have)


def asked(step: str, options: Any, models: Sequence[ModelSpec], rows: Rows, questions: Questions, work: Work) -> Rows:
    """The rows with the answers to questions about them. `step` is how the error table names the step."""
    count = None if questions.choosy or options.on_error == "skip" else rows.count
    failures = Failures(options, step, work, rows.count)
    return Rows(
        columns_after(rows.columns, questions.columns),
        lambda: _answered(_Ahead(rows, questions, len(models)), models, failures, work),
        count,
    )


def _answered(ahead: _Ahead, models: Sequence[ModelSpec], failures: Failures, work: Work) -> Iterator[pa.RecordBatch]:
    with ExitStack() as stack:
        streams = []
        for number, model in enumerate(models):
            answers = work.ask(model, ahead.requests(number), ahead.questions.reader)
            if isinstance(answers, Generator):
                stack.callback(answers.close)  # nothing more is asked once the step ends, however it ends
            streams.append(answers)
        done = 0
        while ahead.waiting or ahead.draw():
            batch = ahead.waiting.popleft()
            written = _Written(ahead.questions)
            for number, question in enumerate(batch.questions):
                if isinstance(question, Question):
                    answers_ = [answer for one in streams for answer in islice(one, len(question.requests))]
                    read = question.read(answers_)
                else:
                    read = replace(ahead.questions.unanswered(), failure=question)
                if read.failure is not None:
                    failures.add(done, read.failure, partial(batch.values, number), read.answer)
                written.add(read, read.kept and (read.failure is None or failures.keeps))
                done += 1
                work.progress(done, ahead.count)
            if not failures.lose_all:
                yield written.into(batch.batch)
        failures.check(done)


class _Batch:
    """A batch that waits for its answers: a question for each row, or why there is none."""

    def __init__(self, batch: pa.RecordBatch, questions: Questions) -> None:
        from dreammake.lang.row import RowError

        self.batch = batch
        self._written = questions.columns
        self.questions: list[Question | Failure] = []
        rows = batch.to_pylist()
        questions.meet(rows)
        for row in rows:
            try:
                self.questions.append(questions.about(row))
            except RowError as error:
                self.questions.append(Failure("row-error", f"{error.shown} fails: {error.reason}", error.hint))

    def values(self, number: int) -> dict[str, Any]:
        """What the row holds; not its columns that are still to be written."""
        row: dict[str, Any] = self.batch.slice(number, 1).to_pylist()[0]
        return {column: value for column, value in row.items() if value is not None or column not in self._written}


class _Ahead:
    """The batches that were drawn and wait for answers; each model draws their requests at its own pace."""

    def __init__(self, rows: Rows, questions: Questions, models: int) -> None:
        self.questions = questions
        self.count = rows.count
        self.waiting: deque[_Batch] = deque()
        self._rows = rows
        self._source: Iterator[pa.RecordBatch] | None = None
        self._drawn: list[deque[_Batch]] = [deque() for _ in range(models)]

    def draw(self) -> bool:
        """Read the next batch; False at the end."""
        self._source = self._source or self._rows.batches()
        for batch in self._source:
            if batch.num_rows:
                one = _Batch(batch, self.questions)
                for queue in (self.waiting, *self._drawn):
                    queue.append(one)
                return True
        return False

    def requests(self, model: int) -> Iterator[Request]:
        mine = self._drawn[model]
        while mine or self.draw():
            for question in mine.popleft().questions:
                if isinstance(question, Question):
                    yield from question.requests


class _Written:
    """The columns of one batch, and the numbers of the rows that stay."""

    def __init__(self, questions: Questions) -> None:
        self._lists: dict[str, list[Any]] = {column: [] for column in questions.columns}
        self._kept: list[int] = []
        self._rows = 0

    def add(self, read: Read, kept: bool) -> None:
        if kept:
            self._kept.append(self._rows)
            for column, values in self._lists.items():
                values.append(read.cells[column])
        self._rows += 1

    def into(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        if len(self._kept) < batch.num_rows:
            batch = batch.take(pa.array(self._kept, pa.int64()))
        for column, values in self._lists.items():
            batch = with_column(batch, column, values)
        return batch
