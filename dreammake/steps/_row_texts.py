"""One text for each row of a stream: by a template, or by columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from dreammake.core.values import Template
from dreammake.steps._asking import renderer

if TYPE_CHECKING:
    import pyarrow as pa


class RowTexts(Protocol):
    """Texts of the rows of a stream."""

    def of(self, batch: pa.RecordBatch) -> list[str | None]:
        """One text a row, None where there is none; batches are given in their order."""


class TemplateTexts:
    """The text of a row by a template: None where all columns that it reads are null, or the text is blank."""

    def __init__(self, template: Template, columns: Sequence[str]) -> None:
        self._columns = _columns_read(template, columns)
        self._text = text_of_row(template, columns)
        self._before = 0

    def of(self, batch: pa.RecordBatch) -> list[str | None]:
        """Raises `lang.row.RowError` where the text fails on a row."""
        from dreammake.lang.row import RowError

        names = self._columns
        lists = [batch.column(name).to_pylist() for name in names]
        rows: Iterable[Sequence[Any]] = zip(*lists, strict=True) if lists else [()] * batch.num_rows
        texts: list[str | None] = []
        for values in rows:
            try:
                texts.append(self._text(dict(zip(names, values, strict=True))))
            except RowError as error:
                raise error.later(self._before + len(texts)) from None
        self._before += batch.num_rows
        return texts


def text_of_row(template: Template, columns: Sequence[str]) -> Callable[[Mapping[str, Any]], str | None]:
    """A function from one row to its text, by the same rule. It raises `lang.row.RowError`, with the row as 0."""
    names = _columns_read(template, columns)
    render: Callable[[Mapping[str, Any]], str] = renderer(template, columns)

    def text_of(row: Mapping[str, Any]) -> str | None:
        if names and all(row[name] is None for name in names):
            return None
        text = render(row)
        return text if text and not text.isspace() else None

    return text_of


class ColumnTexts:
    """The text of a row by columns, one below the other; None where all of them are null."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def of(self, batch: pa.RecordBatch) -> list[str | None]:
        lists = [batch.column(column).to_pylist() for column in self._columns]
        if len(lists) == 1:
            return [None if value is None else str(value) for value in lists[0]]
        return [
            None if _all_null(values) else "\n".join("" if value is None else str(value) for value in values)
            for values in zip(*lists, strict=True)
        ]


def names_read(template: Template) -> set[str]:
    """The columns that a text reads, and whatever else it names."""
    from dreammake.core.span import Source, Span
    from dreammake.lang.syntax import Text
    from dreammake.lang.template import parse_template

    span = Span(Source("text", template.source), 0, len(template.source))
    return set(parse_template(Text(span, template.source, ())).names)


def _columns_read(template: Template, columns: Sequence[str]) -> list[str]:
    names = names_read(template)
    return [column for column in columns if column in names]


def _all_null(values: Sequence[Any]) -> bool:
    return all(value is None for value in values)
