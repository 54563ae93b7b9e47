"""Rows: a table that is read as a stream of Arrow record batches, never held whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1000
"""How many rows a step that makes batches puts in one."""


class Rows:
    """Columns in order, and a way to read their batches.

    Batches of one stream may differ in type (a column of nulls that later holds text): the writer of a
    dataset widens them to one schema. `batches()` of a step's rows does the step's work, so it is read once;
    rows opened from a dataset on disk can be read again, and know their number.
    """

    def __init__(
        self,
        columns: Sequence[str],
        batches: Callable[[], Iterator[pa.RecordBatch]],
        count: int | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.batches = batches
        self.count = count
        """How many rows there are, when that is known before reading."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches()

    def then(
        self,
        columns: Sequence[str],
        change: Callable[[pa.RecordBatch], pa.RecordBatch | Iterable[pa.RecordBatch]],
        *,
        same_count: bool = False,
    ) -> Rows:
        """Rows whose batches are made, one by one, from these."""

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in self.batches():
                made = change(batch)
                if hasattr(made, "num_rows"):
                    yield made
                else:
                    yield from made

        return Rows(columns, batches, self.count if same_count else None)

    def dicts(self) -> Iterator[dict[str, Any]]:
        """The rows one by one, as Python values."""
        for batch in self.batches():
            yield from batch.to_pylist()


def from_dicts(columns: Sequence[str], rows: Iterable[dict[str, Any]], count: int | None = None) -> Rows:
    """Rows of Python values: a column that a row lacks is null there."""

    def batches() -> Iterator[pa.RecordBatch]:
        waiting: list[dict[str, Any]] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) == BATCH_ROWS:
                yield batch_of(columns, waiting)
                waiting = []
        if waiting:
            yield batch_of(columns, waiting)

    return Rows(columns, batches, count)


def batch_of(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """One record batch of Python rows. Raises DreamError where a column mixes types that Arrow cannot hold."""
    return batch_of_lists(columns, [[row.get(column) for row in rows] for column in columns])


def batch_of_lists(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """One record batch of one list a column."""
    import pyarrow as pa

    arrays = [array_of(column, items) for column, items in zip(columns, values, strict=True)]
    return pa.record_batch(arrays, names=list(columns)) if arrays else pa.record_batch([], names=[])


def with_column(batch: pa.RecordBatch, column: str, values: Sequence[Any]) -> pa.RecordBatch:
    """The batch with one column written: replaced where it stands, else added at the end."""
    array = array_of(column, values)
    if column in batch.schema.names:
        at = batch.schema.get_field_index(column)
        return batch.set_column(at, column, array)
    return batch.append_column(column, array)


def array_of(column: str, values: Sequence[Any]) -> pa.Array:
    """An Arrow array of Python values. Raises DreamError where they mix types that Arrow cannot hold."""
    import pyarrow as pa

    from dreammake.core.diagnostic import fail

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        if all(value is None or type(value) in (int, float) for value in values):
            return pa.array([None if value is None else float(value) for value in values])
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        fail(
            "mixed-types",
            f"the column `{column}` mixes {' and '.join(kinds)} values"
            if len(kinds) > 1
            else f"the column `{column}` holds {kinds[0]} values of more than one shape, or that no dataset can hold",
            hint=f"make them one type, with a `map {column}: str({column})` say",
            exit_code=1,
        )


def add_column(columns: Sequence[str], column: str) -> tuple[str, ...]:
    """The column names with one written: at its place if it was there, else at the end."""
    return tuple(columns) if column in columns else (*columns, column)
