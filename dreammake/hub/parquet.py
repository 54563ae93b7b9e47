"""A dataset as Parquet shards, as the Hub's viewer and `load_dataset` read them: equal rows give equal bytes.

    data/train-00000-of-00002.parquet

Rows stream through: memory holds one row group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core import features
from dreammake.core.step import Spooled

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_BYTES = 250_000_000
"""Bytes of Arrow data in one shard, at most: one is written while the one before it is sent."""
GROUP_BYTES = 30_000_000
"""Bytes of Arrow data in one row group, about: what a viewer fetches to show a page."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file to publish: its name in the repository, where it lies, its size in bytes, the SHA-256 of its bytes."""

    name: str
    path: Path
    size: int
    sha256: str


def write_shards(
    rows: Spooled, size: int, split: str, folder: Path, shard_bytes: int = SHARD_BYTES
) -> Iterator[DataFile]:
    """Write a split's shards into a folder, each told as soon as it is whole. `size` is that of all rows in bytes.

    Of a split without rows there is one shard, for its columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = max(1, min(-(-size // shard_bytes), rows.count))
    stream = _Cut(rows)
    for number in range(total):
        name = f"{split}-{number:05d}-of-{total:05d}.parquet"
        wanted = rows.count * (number + 1) // total - rows.count * number // total
        with _writer(folder / name, rows.table.schema) as writer:
            for group in _groups(stream.take(wanted)):
                writer.write_table(group)
        yield data_file(f"data/{name}", folder / name)


def _writer(path: Path, schema: pa.Schema) -> Any:
    """Chunks are cut by content, so that a row that is added changes few of the chunks that the Hub stores."""
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, features.for_file(schema), write_page_index=True, use_content_defined_chunking=True)


class _Cut:
    """The batches of a dataset, taken by numbers of rows."""

    def __init__(self, rows: Spooled) -> None:
        self._batches = rows.batches()
        self._rest: pa.RecordBatch | None = None

    def take(self, count: int) -> Iterator[pa.RecordBatch]:
        """The next rows, of which there are as many."""
        while count:
            batch = next(self._batches) if self._rest is None else self._rest
            yield batch.slice(0, count)
            self._rest = batch.slice(count) if batch.num_rows > count else None
            count -= min(count, batch.num_rows)


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in tables of about GROUP_BYTES each."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    size = 0
    schema: pa.Schema = None
    for batch in batches:
        if schema is None:
            schema = features.for_file(batch.schema)
        waiting.append(pa.record_batch(batch.columns, schema=schema))
        size += batch.nbytes
        if size >= GROUP_BYTES:
            yield pa.Table.from_batches(waiting, schema)
            waiting, size = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def data_file(name: str, path: Path) -> DataFile:
    """A file as it lies there."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return DataFile(name, path, path.stat().st_size, digest)
