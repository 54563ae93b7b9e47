"""Training examples: the texts that a method's templates make of each row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.rows import from_dicts
from dreammake.core.values import Template

if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]
Render = Callable[[Row], Any]

_ONE_COLUMN = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def renderer(value: Any, columns: Sequence[str]) -> Render:
    """What makes an option's value of a row: every template in its lists and dicts is rendered."""
    from dreammake.lang.template import compile_template

    match value:
        case Template():
            return compile_template(value, columns)
        case list() | tuple():
            items = [renderer(item, columns) for item in value]
            return lambda row: [render(row) for render in items]
        case Mapping():
            fields = {name: renderer(item, columns) for name, item in value.items()}
            return lambda row: {name: render(row) for name, render in fields.items()}
    return lambda row: value


def messages_renderer(value: Any, columns: Sequence[str]) -> Render:
    """Like `renderer`; but one text that is only `{{ column }}` stands for the list of messages in that column."""
    if isinstance(value, Template) and (match := _ONE_COLUMN.fullmatch(value.source.strip())):
        column = match[1]
        return lambda row: row[column]
    return renderer(value, columns)


def chat(system: str | None, **texts: str) -> list[dict[str, str]]:
    """Chat messages in order: the system's where there is one, then one for each role given."""
    roles = ({"system": system} if system else {}) | texts
    return [{"role": role, "content": text} for role, text in roles.items()]


def dataset_of(columns: Sequence[str], examples: Iterable[dict[str, Any]], path: str) -> Dataset:
    """The examples as a dataset in memory. Raises DreamError when there are none."""
    import pyarrow as pa
    from datasets import Dataset

    batches = list(from_dicts(columns, examples).batches())
    if not batches:
        fail(
            "empty-dataset",
            f"the `{path}` dataset has no rows, so there is nothing to learn from",
            hint="look at the rule that makes it: a filter may drop every row",
            exit_code=1,
        )
    return Dataset(pa.Table.from_batches(batches))
