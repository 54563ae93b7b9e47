"""From answers to columns: the text as the column NAME, and with a `schema` one column for each field."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dreammake.core.engine import Answer, Failure, Reader
from dreammake.core.rows import add_column
from dreammake.core.step import Columns, Work
from dreammake.steps._failures import Failures
from dreammake.steps._json_answer import JsonReader, Unreadable
from dreammake.steps._schema import json_schema


class AnswerReader:
    """What a step makes of each answer. `columns` are those it writes: a field named NAME stands in place of the
    text."""

    def __init__(self, options: Any, name: str) -> None:
        self._name = name
        self._json = None if options.schema is None else JsonReader(json_schema(options.schema))
        self._refuses_cut = options.on_length == "error"
        self._attempts: int = options.attempts
        fields = self._json.fields if self._json else ()
        self.columns = fields if name in fields else (name, *fields)

    @property
    def reader(self) -> Reader | None:
        """By which answers are asked again; None where every text is an answer."""
        return None if self._json is None else Reader(self._json.fits, self._attempts)

    def after(self, have: Sequence[str]) -> Columns:
        """The columns with those written."""
        for column in self.columns:
            have = add_column(have, column)
        return tuple(have)

    def failure(self, answer: Answer) -> Failure | None:
        """Why an answer is none."""
        if answer.error is not None or answer.text is None:
            return answer.error
        cut = answer.finish_reason == "length"
        if self._json is not None:
            try:
                self._json.read(answer.text)
            except Unreadable as error:
                hint = "raise `max_tokens`" if cut else "tell the model in the prompt what each field holds"
                message = f"the answer, cut off by `max_tokens`, does not fit: {error}"
                return Failure("unreadable-answer", message if cut else f"the answer does not fit: {error}", hint)
        if cut and self._refuses_cut:
            return Failure("answer-cut", "the answer was cut off by `max_tokens`", "raise `max_tokens`")
        return None

    def cells(self, answer: Answer | None) -> dict[str, Any]:
        """The value of each column; all null where there is no answer."""
        if answer is None or answer.text is None:
            return dict.fromkeys(self.columns)
        fields: Mapping[str, Any] = {} if self._json is None else self._json.read(answer.text)
        return {self._name: answer.text.strip(), **fields}


class Gathered:
    """The rows of one step as their answers come, and the lists that become columns; `begin` starts the next batch.

    With `many`, a row has a list of answers in each column. `kept` holds the numbers, in the batch, of the rows that
    stay.
    """

    def __init__(
        self, options: Any, word: str, name: str, work: Work, total: int | None, *, many: bool = False
    ) -> None:
        self.answer_reader = AnswerReader(options, name)
        self.failures = Failures(options, f"{word} {name}", work, total)
        self.rows = 0
        self._work = work
        self._total = total
        self._many = many
        self.begin()

    def begin(self) -> None:
        self.lists: dict[str, list[Any]] = {column: [] for column in self.answer_reader.columns}
        self.kept: list[int] = []
        self._seen = 0

    def add(self, answers: Sequence[Answer], values: Callable[[], Mapping[str, Any]]) -> None:
        """The answers of the next row, whose columns are `values()`."""
        used: list[Answer | None] = []
        failure = None
        for answer in answers:
            why = self.answer_reader.failure(answer)
            used.append(answer if why is None else None)
            if why is not None and failure is None:
                failure = why
                self.failures.add(self.rows, why, values, answer.text)
        self._add(used, failure is None or self.failures.keeps)

    def fail(self, failure: Failure, values: Callable[[], Mapping[str, Any]], answers: int) -> None:
        """The next row cannot be asked about: it is without its `answers`."""
        self.failures.add(self.rows, failure, values, None)
        self._add([None] * answers, self.failures.keeps)

    def _add(self, answers: Sequence[Answer | None], kept: bool) -> None:
        if kept:
            self.kept.append(self._seen)
            cells = [self.answer_reader.cells(answer) for answer in answers]
            for column, values in self.lists.items():
                values.append([one[column] for one in cells] if self._many else cells[0][column])
        self._seen += 1
        self.rows += 1
        self._work.progress(self.rows, self._total)


@contextmanager
def asking(answers: Iterator[Answer]) -> Iterator[Iterator[Answer]]:
    """The answers; nothing more is asked once the step ends, however it ends."""
    try:
        yield answers
    finally:
        if isinstance(answers, Generator):
            answers.close()
