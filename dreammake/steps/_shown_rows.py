"""The options `examples` and `context` of `prompt`: rows of another dataset that the model is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dreammake.core.options import Wrong
from dreammake.core.spelling import did_you_mean
from dreammake.core.step import Columns, Look, Work
from dreammake.core.values import Template
from dreammake.steps._asking import renderer
from dreammake.steps._nearest import Picker, nearest_of, path_of
from dreammake.steps._row_texts import names_read
from dreammake.steps._schema import fields_of, json_schema

Row = Mapping[str, Any]
Message = Mapping[str, Any]

CONTEXT = "context"
"""The name by which a template reads the rows of the `context`."""


class ShownRows:
    """The examples that stand before a row's own question, and the rows that its text reads as `context`."""

    def __init__(self, options: Any, name: str, have: Sequence[str], work: Work) -> None:
        self._context = None if options.context is None else _picker(options.context, have, work)
        self._examples = None
        if options.examples is not None:
            columns = work.open(path_of(options.examples)).columns
            self._answer_of = _answers(options, name, columns)
            self._examples = _picker(options.examples, have, work, lambda row: bool(self._answer_of(row)))
            self._prompt = renderer(options.prompt, columns)
            self._most = options.max_examples
            self._turns: dict[int, tuple[Message, Message]] = {}

    def meet(self, rows: Sequence[Row]) -> None:
        """The rows of a batch, before each is asked about: what is nearest to them is found for all at once."""
        for picker in (self._context, self._examples):
            if picker is not None:
                picker.meet(rows)

    def with_context(self, row: Row) -> Row:
        """The row as its text sees it."""
        if self._context is None:
            return row
        return {**row, CONTEXT: [self._context.rows[number] for number in self._context.numbers_for(row)]}

    def examples_for(self, row: Row) -> list[Message]:
        """A message of the user and one of the assistant for each example."""
        if self._examples is None:
            return []
        return [message for number in self._examples.numbers_for(row)[: self._most] for message in self._turn(number)]

    def _turn(self, number: int) -> tuple[Message, Message]:
        if number not in self._turns:
            assert self._examples is not None
            example = self._examples.rows[number]
            asked = {"role": "user", "content": self._prompt(self.with_context(example))}
            self._turns[number] = asked, {"role": "assistant", "content": self._answer_of(example)}
        return self._turns[number]


def check_shown(options: Any, name: str, have: Columns | None, look: Look) -> None:
    """Raises `Wrong` where the rows to show have not what is read of them."""
    for option in ("examples", CONTEXT):
        _check_nearest(option, options[option], have, look)
    if options.context is not None and have is not None and CONTEXT in have:
        message = f"the rows have a column `{CONTEXT}`, and so has the prompt by the option `context`"
        raise Wrong(message, "rename the column", "duplicate-column")
    if options.examples is None:
        if options.max_examples is not None:
            raise Wrong("`max_examples` limits `examples`, and there are none", "add `examples`", "missing-option")
        return
    if options.prompt is None:
        message = "`examples` are shown by the `prompt`, and there are `messages`"
        raise Wrong(message, "write a `prompt`", "conflicting-options")
    shots = look.columns(path_of(options.examples))
    if shots is None:
        return
    given = shots if options.context is None else (*shots, CONTEXT)
    _check_read(options.prompt, given, "the `examples` have", "which the prompt reads")
    if name not in shots and not _has_fields(options, shots):
        message = f"the `examples` have no column `{name}`: the answer that each of them shows"
        raise Wrong(message, did_you_mean(name, shots), "unknown-column")


def _check_nearest(option: str, value: Any, have: Columns | None, look: Look) -> None:
    nearest = nearest_of(value)
    if nearest is None:
        return
    _check_read(nearest.text, have, f"`{option}`: the rows have", "which `text` reads")
    _check_read(nearest.of, look.columns(nearest.path), f"the rows of `{option}` have", "which `of` or `text` reads")


def _check_read(text: Template, columns: Columns | None, whose: str, reads: str) -> None:
    if columns is None:
        return
    known = (*columns, *text.captured, "config", "wildcards")
    for column in sorted(names_read(text)):
        if column not in known:
            raise Wrong(f"{whose} no column `{column}`, {reads}", did_you_mean(column, columns), "unknown-column")


def _picker(value: Any, have: Sequence[str], work: Work, fits: Callable[[Row], bool] = lambda row: True) -> Picker:
    rows = work.open(path_of(value))
    return Picker(value, [row for row in rows.dicts() if fits(row)], rows.columns, have, work)


def _answers(options: Any, name: str, columns: Sequence[str]) -> Callable[[Row], str]:
    """A function from an example to its answer: the column NAME, or with a `schema` the object of its fields. A row
    without one is no example."""
    if name in columns:
        return lambda row: "" if row[name] is None else str(row[name]).strip()
    fields = fields_of(json_schema(options.schema))
    return lambda row: json.dumps({field: row[field] for field in fields}, ensure_ascii=False)


def _has_fields(options: Any, columns: Sequence[str]) -> bool:
    return options.schema is not None and set(fields_of(json_schema(options.schema))) <= set(columns)
