"""Which digests were met before, however many there are: the last ones are in memory, the others in a file."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_MEMORY = 20_000
_CACHE = 4096
"""KiB of the file that SQLite holds."""
_BITS = 1 << 26
"""A bit is set for each digest that was met: where it is not, a digest is new, and the file need not be asked. Of the
last of a million digests, one in 67 finds its bit set by another."""


class Seen:
    """The digests that were met, in a file of `folder` once they are many. Close it."""

    def __init__(self, folder: Path, in_memory: int = _IN_MEMORY) -> None:
        self._path = folder / "seen.sqlite3"
        self._room = in_memory
        self._last: set[bytes] = set()
        self._bits = bytearray(_BITS // 8)
        self._file: sqlite3.Connection | None = None

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def are_new(self, digests: Iterable[bytes | None]) -> list[bool]:
        """For each digest, whether it is met for the first time; None always is. Raises OSError on a full disk."""
        with _plain_errors():
            found = [digest is None or self._is_new(digest) for digest in digests]
            if len(self._last) >= self._room:
                self._put_away()
        return found

    def _is_new(self, digest: bytes) -> bool:
        place = int.from_bytes(digest[:4], "little") % _BITS
        byte, bit = place >> 3, 1 << (place & 7)
        if not self._bits[byte] & bit:
            self._bits[byte] |= bit
        elif digest in self._last or self._is_put_away(digest):
            return False
        self._last.add(digest)
        return True

    def _is_put_away(self, digest: bytes) -> bool:
        if self._file is None:
            return False
        return self._file.execute("select 1 from seen where digest = ?", (digest,)).fetchone() is not None

    def _put_away(self) -> None:
        if self._file is None:
            self._file = sqlite3.connect(self._path, isolation_level=None)
            # Nobody else opens it, and it does not outlive the job.
            for setting in ("journal_mode = off", "synchronous = off", f"cache_size = -{_CACHE}"):
                self._file.execute(f"pragma {setting}")
            self._file.execute("create table seen (digest blob primary key) without rowid")
        self._file.execute("begin")
        # In their order, so that one page after the other is filled.
        self._file.executemany("insert into seen values (?)", ((digest,) for digest in sorted(self._last)))
        self._file.execute("commit")
        self._last.clear()


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
