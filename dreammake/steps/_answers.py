"""From answers to columns: the text as the column NAME, and with a `schema` one column for each field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dreammake.core.engine import Answer, Failure, Reader
from dreammake.steps._asked_rows import Question, Read, Row
from dreammake.steps._asking import ShownRows, request_renderer
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


class TextQuestions:
    """Asks `count` times for a text about each row: above 1, the columns hold lists of them."""

    choosy = False

    def __init__(
        self, options: Any, name: str, columns: Sequence[str], count: int = 1, shown: ShownRows | None = None
    ) -> None:
        self._answers = AnswerReader(options, name)
        self._request_of = request_renderer(options, columns, shown)
        self._shown = shown
        self._count = count
        self._many = count > 1
        self.columns = self._answers.columns
        self.reader = self._answers.reader

    def meet(self, rows: Sequence[Row]) -> None:
        if self._shown is not None:
            self._shown.meet(rows)

    def about(self, row: Row) -> Question:
        return Question([self._request_of(row)] * self._count, self._read)

    def unanswered(self) -> Read:
        return Read(self._cells([None] * self._count))

    def _read(self, answers: Sequence[Answer]) -> Read:
        failures = [self._answers.failure(answer) for answer in answers]
        cells = self._cells([a if why is None else None for a, why in zip(answers, failures, strict=True)])
        for answer, why in zip(answers, failures, strict=True):
            if why is not None:
                return Read(cells, why, answer.text)
        return Read(cells)

    def _cells(self, answers: Sequence[Answer | None]) -> Mapping[str, Any]:
        cells = [self._answers.cells(answer) for answer in answers]
        return {column: [one[column] for one in cells] for column in self.columns} if self._many else cells[0]
