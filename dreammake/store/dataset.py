"""Opens dataset folders, those written here and those of `datasets.save_to_disk`; writing is `dataset_writer`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core import features
from dreammake.core.diagnostic import fail, first_line
from dreammake.core.rows import Rows
from dreammake.core.step import Spooled
from dreammake.store.dataset_writer import DatasetFacts, sync_folder, write_dataset

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DatasetFacts",
    "OpenedDataset",
    "dataset_columns",
    "open_dataset",
    "spool",
    "sync_folder",
    "write_dataset",
]


class OpenedDataset(Spooled):
    """A dataset on disk. `batches()` reads it as a stream; `table` maps it into memory, for reading in any order."""

    def __init__(self, folder: Path, files: list[Path], columns: tuple[str, ...], count: int) -> None:
        super().__init__(columns, self._read, count)
        self.folder = folder
        self.files = files
        self._table: pa.Table | None = None

    @property
    def table(self) -> pa.Table:
        import pyarrow as pa

        if self._table is None:
            parts = [_mapped(self.folder, file) for file in self.files]
            self._table = pa.concat_tables([pa.Table.from_batches(batches, schema) for schema, batches in parts])
        return self._table

    def _read(self) -> Iterator[pa.RecordBatch]:
        """Plain reads, so that a large dataset does not count as memory while it streams by."""
        import pyarrow as pa

        for file in self.files:
            try:
                with pa.OSFile(str(file), "rb") as source:
                    reader = pa.ipc.open_stream(source)
                    schema = features.for_stream(reader.schema)
                    for batch in reader:
                        yield pa.record_batch(batch.columns, schema=schema)
            except (pa.ArrowInvalid, OSError) as error:
                _damaged(self.folder, f"{file.name} cannot be read ({first_line(error)})")


def open_dataset(folder: Path) -> OpenedDataset:
    """The rows of a dataset folder. Raises DreamError: no such folder, no dataset, several splits, damaged."""
    state = _state(folder)
    files = [folder / entry["filename"] for entry in state]
    for file, entry in zip(files, state, strict=True):
        if not file.is_file():
            _damaged(folder, f"{file.name} is missing")
        if "bytes" in entry and entry["bytes"] != (size := file.stat().st_size):
            _damaged(folder, f"{file.name} has {size:,} bytes in place of {entry['bytes']:,}")
    columns = dataset_columns(folder)
    return OpenedDataset(folder, files, columns, sum(_rows_in(folder, e) for e in state))


def dataset_columns(folder: Path) -> tuple[str, ...]:
    """The column names of a dataset folder, from its JSON where that has them. Raises DreamError as `open_dataset`."""
    state = _state(folder)
    try:
        info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
        if info.get("features"):
            return tuple(info["features"])
    except FileNotFoundError:
        _damaged(folder, "dataset_info.json is missing")
    except (ValueError, AttributeError):
        _damaged(folder, "dataset_info.json is no JSON object")
    return tuple(_mapped(folder, folder / state[0]["filename"])[0].names) if state else ()


def spool(rows: Rows, folder: Path) -> OpenedDataset:
    """The rows written into a new folder, so that they can be read again and in any order."""
    write_dataset(rows, folder)
    return open_dataset(folder)


def is_dataset(folder: Path) -> bool:
    """Whether a folder looks like a dataset: complete, damaged, or a group of splits."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_info.json", "dataset_dict.json"))


def _state(folder: Path) -> list[dict[str, Any]]:
    """The data files named in state.json."""
    try:
        data = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return [dict(entry, filename=str(entry["filename"])) for entry in data["_data_files"]]
    except (FileNotFoundError, NotADirectoryError):
        _no_state(folder)
    except (ValueError, KeyError, TypeError):
        _damaged(folder, "state.json does not name its data files")


def _no_state(folder: Path) -> NoReturn:
    if not folder.exists():
        fail("no-such-dataset", f"there is no dataset at {folder}", hint="build it, or correct the path")
    if (folder / "dataset_dict.json").is_file():
        splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8")).get("splits", [])
        fail(
            "several-splits",
            f"{folder} holds several datasets: {', '.join(splits)}",
            hint=f'name one of them: "{folder.name}/{splits[0]}"' if splits else "",
        )
    if (folder / "dataset_info.json").is_file():
        _damaged(folder, "state.json is missing")
    fail("not-a-dataset", f"{folder} is no dataset: it has no state.json", hint="read files with `load:`")


def _rows_in(folder: Path, entry: dict[str, Any]) -> int:
    if "rows" in entry:
        return int(entry["rows"])
    return sum(batch.num_rows for batch in _mapped(folder, folder / entry["filename"])[1])


def _mapped(folder: Path, file: Path) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """The schema and the batches of a data file, mapped into memory."""
    import pyarrow as pa

    try:
        reader = pa.ipc.open_stream(pa.memory_map(str(file)))
        schema = features.for_stream(reader.schema)
        return schema, [pa.record_batch(batch.columns, schema=schema) for batch in reader]
    except (pa.ArrowInvalid, OSError) as error:
        _damaged(folder, f"{file.name} cannot be read ({first_line(error)})")


def _damaged(folder: Path, how: str) -> NoReturn:
    fail(
        "damaged-dataset",
        f"the dataset {folder} is damaged: {how}",
        hint="remove the folder and build again, or copy it anew",
        exit_code=1,
    )
