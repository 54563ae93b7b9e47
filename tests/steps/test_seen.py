"""Digests that were met before, beside a plain set: in memory, in the file, and across both."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.steps._seen import Seen

digests = st.one_of(st.none(), st.integers(0, 40).map(lambda number: number.to_bytes(16, "little")))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(digests, max_size=12), max_size=12))
def test_each_digest_is_new_once(batches: list[list[bytes | None]]) -> None:
    met: set[bytes] = set()
    expected = []
    for batch in batches:
        expected.append([])
        for digest in batch:
            expected[-1].append(digest is None or digest not in met)
            if digest is not None:
                met.add(digest)
    with tempfile.TemporaryDirectory() as folder, Seen(Path(folder), in_memory=5) as seen:
        assert [seen.are_new(batch) for batch in batches] == expected
        assert (Path(folder) / "seen.sqlite3").exists() == (len(met) >= 5)


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    with Seen(tmp_path, in_memory=1) as seen:
        seen.are_new([bytes(16)])
        assert seen._file is not None
        seen._file.execute("pragma max_page_count = 2")
        with pytest.raises(OSError, match="No space left on device"):
            for begin in range(1, 5000, 100):
                seen.are_new([number.to_bytes(16, "big") for number in range(begin, begin + 100)])
