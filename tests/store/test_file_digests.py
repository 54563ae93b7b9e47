"""Fingerprints of big files, read once."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from dreammake.store.file_digests import FileDigests


def test_the_digest_is_of_the_bytes_and_follows_them(tmp_path: Path) -> None:
    model, notes = tmp_path / "model.gguf", tmp_path / "notes" / "models.json"
    model.write_bytes(b"one")
    assert FileDigests(notes).of(model) == hashlib.sha256(b"one").hexdigest()[:32]
    model.write_bytes(b"two!")
    digests = FileDigests(notes)
    assert digests.of(model) == digests.of(model) == hashlib.sha256(b"two!").hexdigest()[:32]


def test_a_file_of_the_same_size_and_time_is_not_read_again(tmp_path: Path) -> None:
    model, notes = tmp_path / "model.gguf", tmp_path / "models.json"
    model.write_bytes(b"one")
    known = FileDigests(notes).of(model)
    stat = model.stat()
    model.write_bytes(b"two")
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert FileDigests(notes).of(model) == known
    assert FileDigests().of(model) != known


def test_readonly_writes_nothing_and_damaged_notes_are_forgotten(tmp_path: Path) -> None:
    model, notes = tmp_path / "model.gguf", tmp_path / "models.json"
    model.write_bytes(b"one")
    digest = FileDigests(notes, readonly=True).of(model)
    assert not notes.exists()
    for damaged in ("", "[1, 2]", '{"x": 3', json.dumps({str(model.resolve()): "odd"})):
        notes.write_text(damaged)
        assert FileDigests(notes).of(model) == digest
