"""Datasets as Parquet shards."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreammake.core.rows import Rows, from_dicts
from dreammake.hub.parquet import write_shards
from dreammake.store.dataset import OpenedDataset, spool

ROWS: list[dict[str, Any]] = [{"n": n, "text": f"row {n} " * 20, "tags": [str(n)]} for n in range(5000)]


SIZE = 2_000_000
"""About, in bytes."""


def written(rows: list[dict[str, Any]], folder: Path, **options: Any) -> list[dict[str, Any]]:
    files = write_shards(spooled(rows, folder), SIZE, "train", folder / "shards", **options)
    return [row for file in files for row in pq.read_table(file.path).to_pylist()]


def spooled(rows: list[dict[str, Any]], folder: Path) -> OpenedDataset:
    return spool(from_dicts(("n", "text", "tags"), rows, len(rows)), folder / "dataset")


def test_rows_come_back(tmp_path: Path) -> None:
    assert written(ROWS, tmp_path) == ROWS


def test_shards_are_numbered_and_named_by_their_split(tmp_path: Path) -> None:
    files = list(write_shards(spooled(ROWS, tmp_path), SIZE, "eval", tmp_path / "shards", shard_bytes=400_000))
    assert len(files) == 5
    assert [file.name for file in files] == [
        f"data/eval-{number:05d}-of-{len(files):05d}.parquet" for number in range(len(files))
    ]
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [file.path.name for file in files]
    assert sum(pq.read_metadata(file.path).num_rows for file in files) == len(ROWS)
    for file in files:
        assert (file.size, file.sha256) == (
            file.path.stat().st_size,
            hashlib.sha256(file.path.read_bytes()).hexdigest(),
        )


@pytest.mark.parametrize("count", [1, 2, 3, 999, 1000, 1001, 2500])
def test_no_row_is_lost_between_shards(tmp_path: Path, count: int) -> None:
    assert written(ROWS[:count], tmp_path, shard_bytes=SIZE // 3) == ROWS[:count]


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    rows = spooled(ROWS, tmp_path)
    one, two = (list(write_shards(rows, SIZE, "train", tmp_path / name)) for name in ("a", "b"))
    assert [file.sha256 for file in one] == [file.sha256 for file in two]


def test_a_dataset_without_rows_has_its_columns(tmp_path: Path) -> None:
    empty = pa.record_batch([pa.array([], pa.string())], names=["text"])
    rows = spool(Rows(("text",), lambda: iter([empty]), 0), tmp_path / "dataset")
    (file,) = write_shards(rows, 0, "train", tmp_path)
    assert pq.read_table(file.path).schema.names == ["text"]


def test_features_go_along(tmp_path: Path) -> None:
    (file,) = write_shards(spooled(ROWS[:10], tmp_path), SIZE, "train", tmp_path)
    assert b'"info"' in pq.read_schema(file.path).metadata[b"huggingface"]
