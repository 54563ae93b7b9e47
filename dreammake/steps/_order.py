"""Rows on disk, read in any order: in windows, so that a shuffled dataset need not fit in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.rows import BATCH_ROWS, Rows
from dreammake.core.step import Spooled, Work
from dreammake.core.values import RowExpression
from dreammake.steps._row_values import RowValues

if TYPE_CHECKING:
    import pyarrow as pa

_WINDOW_BYTES = 64 << 20
_WINDOW_ROWS = 100_000


def on_disk(rows: Rows, work: Work) -> Spooled:
    """The rows as they lie on disk: written there, unless they do already."""
    return rows if isinstance(rows, Spooled) else work.spool(rows)


def in_order(spooled: Spooled, order: Sequence[int]) -> Rows:
    """The rows with these numbers, in this order; they can be read again."""
    return Rows(spooled.columns, lambda: _windows(spooled, order), len(order))


def order_of(values: pa.ChunkedArray, *, reverse: bool) -> Sequence[int]:
    """The numbers of the rows by their values, nulls last in either direction. Arrow's sort is stable, and compares
    text by code point, as Python does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(values.type):
        return range(len(values))
    direction = "descending" if reverse else "ascending"
    order = pc.sort_indices(values, sort_keys=[("", direction)])
    return memoryview(order.buffers()[1]).cast("Q") if len(order) else ()


def order_by(by: RowExpression, spooled: Spooled, *, reverse: bool) -> Sequence[int]:
    """The numbers of the rows by the value of an expression; equal rows keep their order, and nulls and NaN come last
    in either direction. The values are held in memory, the rows are not."""
    column = by.text.strip()
    if column in spooled.columns and _is_plain(spooled.table.schema.field(column).type):
        return order_of(spooled.table.column(column), reverse=reverse)
    values = RowValues(by, spooled.columns)
    keys = [key for batch in spooled.batches() for key in values.of(batch)]
    return _order_of_keys(keys, reverse, by.text)


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_string(kind))


def _order_of_keys(keys: list[Any], reverse: bool, text: str) -> list[int]:
    present = [number for number, key in enumerate(keys) if key is not None and key == key]
    absent = [number for number, key in enumerate(keys) if key is None or key != key]
    try:
        present.sort(key=keys.__getitem__, reverse=reverse)
    except TypeError:
        kinds = sorted({type(keys[number]).__name__ for number in present})
        fail(
            "mixed-types",
            f"`{text}` cannot be sorted: its values are of the types {', '.join(kinds)}, or hold nulls inside",
            hint="sort by something of one type, `str(...)` of it say",
            exit_code=1,
        )
    return present + absent


def _windows(spooled: Spooled, order: Sequence[int]) -> Iterator[pa.RecordBatch]:
    pick = Picker(spooled.table)
    size = pick.window
    for at in range(0, len(order), size):
        window = pick.rows(order[at : at + size])
        for begin in range(0, window.num_rows, BATCH_ROWS):
            yield window.slice(begin, BATCH_ROWS)


class Picker:
    """Takes rows out of a table of many batches; Arrow's own `take` would put the whole together first."""

    def __init__(self, table: pa.Table) -> None:
        size = table.nbytes
        whole = table.combine_chunks() if size <= _WINDOW_BYTES else table
        row_bytes = size // max(1, table.num_rows) + 1
        self.window = min(_WINDOW_ROWS, max(BATCH_ROWS, _WINDOW_BYTES // row_bytes))
        """How many rows to pick at once: about 64 MiB of them, and a batch at least."""
        self._schema = table.schema
        self._batches = whole.to_batches()
        self._ends = list(accumulate(batch.num_rows for batch in self._batches))

    def rows(self, numbers: Sequence[int]) -> pa.RecordBatch:
        """One batch of the rows with these numbers, in their order."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(numbers, pa.int64())
        order = pc.array_sort_indices(wanted)
        ascending = wanted.take(order).to_pylist()
        pieces, at = [], 0
        while at < len(ascending):
            place = bisect_right(self._ends, ascending[at])
            batch, end = self._batches[place], self._ends[place]
            stop = bisect_left(ascending, end, at)
            begin = end - batch.num_rows
            pieces.append(batch.take(pa.array([number - begin for number in ascending[at:stop]], pa.int64())))
            at = stop
        if not pieces:
            return _empty(self._schema)
        whole = pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)
        return whole.take(pc.array_sort_indices(order))


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.record_batch([pa.nulls(0, field.type) for field in schema], schema=schema)
