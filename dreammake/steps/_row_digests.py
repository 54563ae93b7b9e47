"""A digest of each row, by which equal ones are found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from dreammake.core.values import Template
from dreammake.steps._row_texts import TemplateTexts

if TYPE_CHECKING:
    import pyarrow as pa


class RowDigests:
    """16 bytes for each row, the same where its text is, or where all of its values in `compared` are. None where the
    text is blank, or all of them are null."""

    def __init__(self, columns: Sequence[str], compared: Sequence[str] | None, text: Template | None = None) -> None:
        self._texts = None if text is None else TemplateTexts(text, columns)
        self._compared = columns if compared is None else compared

    def of(self, batch: pa.RecordBatch) -> Iterator[bytes | None]:
        if self._texts is not None:
            return (None if text is None else _digest(text) for text in self._texts.of(batch))
        lists = [batch.column(column).to_pylist() for column in self._compared]
        rows: Iterator[tuple[Any, ...]] = zip(*lists, strict=True)
        return (None if all(value is None for value in row) else _digest(_written(row)) for row in rows)


def _written(row: tuple[Any, ...]) -> str:
    if len(row) == 1 and isinstance(row[0], str):
        return row[0]
    return repr(row)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
