"""From answers to columns: the text as the column NAME, and with a `schema` one column for each field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dreammake.core.engine import Answer, Failure, Reader
from dreammake.core.rows import add_column
from dreammake.core.step import Columns
from dreammake.steps._json_answer import JsonReader, Unreadable
from dreammake.steps._schema import json_schema


class AnswerReader:
    """What a step makes of each answer. `columns` are those it writes: a field named NAME stands in place of the text."""

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

    def lists(self, answers: Iterable[Answer | None]) -> dict[str, list[Any]]:
        """The values of several answers by column."""
        cells = [self.cells(answer) for answer in answers]
        return {column: [one[column] for one in cells] for column in self.columns}
