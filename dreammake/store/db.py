"""SQLite as every store opens it: transactions by hand, errors in the user's words, and a write-ahead log where the
file system can have one."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from dreammake.core.diagnostic import fail
from dreammake.store import filesystem

BUSY_SECONDS = 60.0
"""How long one process waits while another writes."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Open a database, made if it is missing; `readonly` needs the file, and makes none beside it.

    Raises sqlite3.DatabaseError on a damaged file (`is_damage` tells), DreamError `disk-full` or `store-busy`.
    """
    if readonly:
        return _connect_readonly(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        with plain_errors(path):
            shared = filesystem.is_network(path)
            _use_journal(connection, "delete" if shared else "wal")
            # Without a write-ahead log, less than `full` may lose the whole file with the power.
            connection.execute(f"pragma synchronous = {'full' if shared else 'normal'}")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_readonly(path: Path) -> sqlite3.Connection:
    # With an empty log nobody is in the middle of writing, and `immutable` keeps SQLite from making its two files.
    log = path.with_name(path.name + "-wal")
    quiet = not log.exists() or log.stat().st_size == 0
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if quiet else ''}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _use_journal(connection: sqlite3.Connection, mode: Literal["wal", "delete"]) -> None:
    # The change does not wait for a lock, so two processes that make the file at once may both find it busy.
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(f"pragma journal_mode = {mode}")
            return
        except sqlite3.OperationalError as error:
            if _code(error) not in _BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


@contextmanager
def atomic(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction: all of it, or nothing. Raises DreamError `disk-full` or `store-busy`."""
    with plain_errors(path_of(connection)):
        connection.execute("begin immediate")
        try:
            yield connection
            connection.execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("rollback")
            raise


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn a full disk and a lock that does not end into DreamErrors; other errors pass."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if _code(error) in _FULL:
            fail(
                "disk-full",
                f"the disk is full: {path.name} cannot grow",
                hint=f"free some space where {path.parent} is, and run the same command again",
                exit_code=1,
            )
        if _code(error) in _BUSY:
            fail(
                "store-busy",
                f"another process keeps {path.name} locked",
                hint="wait for it to end, or end it, and run the same command again",
                exit_code=1,
            )
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file itself is broken."""
    return _code(error) in _DAMAGED


def path_of(connection: sqlite3.Connection) -> Path:
    return Path(connection.execute("pragma database_list").fetchone()[2])


def set_aside(path: Path) -> Path:
    """Rename a damaged database to the first free `NAME.damaged-N`, and remove its two companion files."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return aside


def _code(error: sqlite3.Error) -> int | None:
    """The primary or extended code, whichever this module names; None where the error has none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code if code is None or code in _FULL else code & 0xFF
