"""Batches brought to given columns, or to an even size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dreammake.core.options import Wrong
from dreammake.core.rows import BATCH_ROWS, Rows
from dreammake.core.spelling import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa


def united(lists: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """All columns of several datasets, in the order in which they first appear."""
    return tuple(dict.fromkeys(column for columns in lists for column in columns))


def with_columns(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """The batch with just these columns, in this order; one that it lacks is null."""
    import pyarrow as pa

    names = batch.schema.names
    if names == list(columns):
        return batch
    if set(columns) <= set(names):
        return batch.select(list(columns))
    have = {name: number for number, name in enumerate(names)}
    arrays, fields = [], []
    for column in columns:
        at = have.get(column)
        arrays.append(pa.nulls(batch.num_rows) if at is None else batch.column(at))
        fields.append(pa.field(column, pa.null()) if at is None else batch.schema.field(at))
    return pa.record_batch(arrays, schema=pa.schema(fields))


def even_batches(rows: Rows) -> Iterator[pa.RecordBatch]:
    """The rows in batches of BATCH_ROWS, however they came: what a user's function sees must not depend on that."""
    waiting: list[pa.RecordBatch] = []
    room = BATCH_ROWS
    for batch in rows.batches():
        at = 0
        while at < batch.num_rows:
            waiting.append(batch.slice(at, room))
            at += waiting[-1].num_rows
            room -= waiting[-1].num_rows
            if room == 0:
                yield _whole(waiting)
                waiting, room = [], BATCH_ROWS
    if waiting:
        yield _whole(waiting)


def _whole(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    import pyarrow as pa

    if len(batches) == 1:
        return batches[0]
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks().to_batches()[0]


def check_known(column: str, known: Sequence[str] | None, whose: str = "the rows") -> None:
    """Raises Wrong `unknown-column` where the columns are known and this is none of them."""
    if known is not None and column not in known:
        raise Wrong(f"{whose} have no column `{column}`", did_you_mean(column, known), "unknown-column")
