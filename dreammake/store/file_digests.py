"""Fingerprints of big files, kept by size and time of change, so that a model file is read once and not in each run."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from dreammake.store.files import CARD


class FileDigests:
    """SHA-256 of files, 32 hexadecimal digits.

    What is known is kept in memory, and in `store` (a JSON file: path -> [size, mtime in ns, digest]) where one is
    given; `readonly` only reads it.
    """

    def __init__(self, store: Path | None = None, *, readonly: bool = False) -> None:
        self._store = store
        self._readonly = readonly
        self._known: dict[str, list[object]] | None = None

    def of(self, path: Path) -> str:
        """The fingerprint of the file's bytes, or of all files in a folder with their names. Raises OSError where one
        cannot be read."""
        if path.is_dir():
            return self._of_folder(path)
        stat = path.stat()
        known = self._load()
        name = str(path.resolve())
        match known.get(name):
            case [stat.st_size, stat.st_mtime_ns, str(digest)]:
                return digest
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        known[name] = [stat.st_size, stat.st_mtime_ns, digest]
        self._save(known)
        return digest

    def _of_folder(self, folder: Path) -> str:
        """Hidden files do not count, nor does the card that dreammake puts there."""
        found = []
        for place, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            files = [Path(place) / name for name in names if not name.startswith(".") and name != CARD]
            found += [[file.relative_to(folder).as_posix(), self.of(file)] for file in files]
        return hashlib.sha256(json.dumps(sorted(found)).encode()).hexdigest()[:32]

    def _load(self) -> dict[str, list[object]]:
        if self._known is None:
            self._known = {}
            with suppress(OSError, ValueError, AttributeError):  # a lost or damaged note is no loss
                self._known = dict(json.loads(self._store.read_text("utf-8")).items()) if self._store else {}
        return self._known

    def _save(self, known: dict[str, list[object]]) -> None:
        if self._store is None or self._readonly:
            return
        with suppress(OSError):
            self._store.parent.mkdir(parents=True, exist_ok=True)
            part = self._store.with_name(f"{self._store.name}.{os.getpid()}")
            part.write_text(json.dumps(known, indent=1), "utf-8")
            part.replace(self._store)
