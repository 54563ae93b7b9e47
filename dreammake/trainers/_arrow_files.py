"""Rows put down as Arrow files, where a training or its processes read them without holding them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def put_down(batches: Iterable[pa.RecordBatch], folder: Path, name: str) -> tuple[list[str], int]:
    """Write batches as streams in `folder`, one for each run of one schema. Gives their names, and the rows in all."""
    import pyarrow as pa

    files: list[str] = []
    count = 0
    for schema, alike in groupby(batches, key=lambda batch: batch.schema):
        files.append(f"{name}-{len(files)}.arrow")
        with pa.ipc.new_stream(str(folder / files[-1]), schema) as writer:
            for batch in alike:
                writer.write_batch(batch)
                count += batch.num_rows
    return files, count
