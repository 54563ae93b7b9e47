"""Writes rows as a folder that `datasets.load_from_disk` opens: equal rows always give equal bytes.

    data-00000-of-00001.arrow   the rows, an Arrow stream of batches of 1,000
    dataset_info.json           the features of the columns
    state.json                  the names of the data files, with their rows and bytes; written last

The bytes do not depend on how the rows came in batches: they are cut anew, widened to one schema, and what an Arrow
array holds in unused places is cleared.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core import features, fingerprint
from dreammake.core.rows import Rows
from dreammake.store.row_shape import RowShape, fitted
from dreammake.store.tidy import tidy

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 1000
"""Rows in one batch on disk. A part of the format: another number gives other bytes."""
FILE_BYTES = 500_000_000
"""A data file that has grown to this is closed, and the next one begun."""


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What was written: `bytes` of the data files, the type of each column by name, and the fingerprint of the
    content, equal to `store.files.fingerprint_path` of the folder."""

    rows: int
    bytes: int
    columns: tuple[str, ...]
    schema: Mapping[str, str]
    fingerprint: str


def write_dataset(rows: Rows, folder: Path) -> DatasetFacts:
    """Write rows into a new or empty folder; nothing is synced to the disk's platter.

    Memory stays flat. Raises DreamError `mixed-types` where a column holds what no one type can.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = RowShape(rows.columns)
    files = _DataFiles(folder)
    for pieces in _cut(rows.batches()):
        for piece in pieces:
            shape.widen(piece.schema)
        files.write(shape.batch(pieces), shape)
    if files.written == 0 or files.changed:
        files = _rewritten(files, shape.final(), folder)
    return _finish(files, shape.final(), folder)


class _DataFiles:
    """The data files under way: one after the other, each of one schema."""

    def __init__(self, folder: Path, prefix: str = "part") -> None:
        self.folder = folder
        self.prefix = prefix
        self.paths: list[Path] = []
        self.rows: list[int] = []
        self.changed = False
        self._version = -1
        self._sink: Any = None
        self._writer: Any = None

    @property
    def written(self) -> int:
        return len(self.paths)

    def write(self, batch: pa.RecordBatch, shape: RowShape | None = None) -> None:
        version = shape.version if shape is not None else 0
        if self._writer is not None and version != self._version:
            self.changed = True
            self.close()
        if self._writer is not None and self._sink.tell() >= FILE_BYTES:
            self.close()
        if self._writer is None:
            self._version = version
            self.begin(batch.schema)
        if batch.num_rows:
            self._writer.write_batch(batch)
            self.rows[-1] += batch.num_rows

    def begin(self, schema: pa.Schema) -> None:
        import pyarrow as pa

        path = self.folder / f"{self.prefix}-{len(self.paths):05d}.arrow"
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._sink, features.for_file(schema))
        self.paths.append(path)
        self.rows.append(0)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._sink.close()
            self._writer = None


def _rewritten(files: _DataFiles, schema: pa.Schema, folder: Path) -> _DataFiles:
    """The same rows in files of the one final schema."""
    import pyarrow as pa

    files.close()
    new = _DataFiles(folder, "whole")
    if not files.paths:
        new.begin(schema)
    for path in files.paths:
        with pa.OSFile(str(path), "rb") as source:
            for batch in pa.ipc.open_stream(source):
                new.write(pa.record_batch([tidy(a) for a in fitted(batch, schema).columns], schema=schema))
        path.unlink()
    return new


def _finish(files: _DataFiles, schema: pa.Schema, folder: Path) -> DatasetFacts:
    files.close()
    total = len(files.paths)
    digests: list[tuple[str, str]] = []
    state_files: list[dict[str, Any]] = []
    for number, (path, rows) in enumerate(zip(files.paths, files.rows, strict=True)):
        name = f"data-{number:05d}-of-{total:05d}.arrow"
        size = path.stat().st_size
        path.rename(folder / name)
        with (folder / name).open("rb") as file:
            digests.append((name, hashlib.file_digest(file, "sha256").hexdigest()[:32]))
        state_files.append({"filename": name, "rows": rows, "bytes": size})
    info = {"citation": "", "description": "", "features": features.features_of(schema), "homepage": "", "license": ""}
    info_text = json.dumps(info, indent=2, ensure_ascii=False)
    state: dict[str, Any] = {
        "_data_files": state_files,
        "_fingerprint": fingerprint.of_members(digests)[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "dataset_info.json").write_text(info_text, encoding="utf-8")
    (folder / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    digests.append(("dataset_info.json", fingerprint.of_text(info_text)))
    return DatasetFacts(
        sum(files.rows),
        sum(file["bytes"] for file in state_files),
        tuple(schema.names),
        {field.name: str(field.type) for field in schema},
        fingerprint.of_members(digests),
    )


def sync_folder(path: Path) -> None:
    """Have the files of a folder, and the folder itself, on the disk's platter."""
    for folder, _, names in os.walk(path):
        for member in (*names, "."):
            handle = os.open(os.path.join(folder, member), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _cut(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """The same rows in pieces of CHUNK_ROWS together; the last are fewer. A batch without rows only counts where no
    batch has any, for its types."""
    pieces: list[pa.RecordBatch] = []
    any_rows, empty = False, None
    room = CHUNK_ROWS
    for batch in batches:
        at = 0
        while at < batch.num_rows:
            piece = batch.slice(at, room)
            pieces.append(piece)
            at += piece.num_rows
            room -= piece.num_rows
            if room == 0:
                yield pieces
                pieces, room = [], CHUNK_ROWS
        any_rows = any_rows or batch.num_rows > 0
        empty = batch if empty is None else empty
    if not any_rows and empty is not None:
        pieces = [empty.slice(0, 0)]
    if pieces:
        yield pieces
