"""The files of prompt caches seen from outside: what is in them, what it cost, and how they get smaller."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from dreammake.core.cache_file import Amount, CacheFile
from dreammake.store.db import connect, is_damage, plain_errors
from dreammake.store.migrations import check_known
from dreammake.store.prompt_cache import MIGRATIONS

NOTE = "shared.json"
"""Beside the caches: what a shared cache has of them. Its numbers mean nothing once answers were dropped."""
_FIELDS = ("prompt_tokens", "completion_tokens", "cost")


def cache_files(prompts: Path) -> list[CacheFile]:
    """All caches in the folder, by the names of their models. Raises DreamError `newer-store`."""
    paths = sorted(prompts.glob("*.sqlite*")) if prompts.is_dir() else []
    found = [look_at(path) for path in paths if not path.name.endswith(("-wal", "-shm", "-journal"))]
    return sorted(found, key=lambda file: (file.name, file.path.name))


def look_at(path: Path) -> CacheFile:
    size = sum(part.stat().st_size for part in _parts(path))
    if ".damaged-" in path.name:
        return CacheFile(path, size=size, used=path.stat().st_mtime, damaged=True)
    try:
        with opened(path) as connection:
            sums = ", ".join(f"total(json_extract(answer, '$.{field}'))" for field in _FIELDS)
            query = f"select count(*), max(json_extract(answer, '$.created')), {sums} from answers"
            row = connection.execute(f"{query} where json_valid(answer)").fetchone()
            answers, created, asked, answered, cost = row
            about = about_of(connection)
            used = max(created or 0.0, _used(connection))
    except sqlite3.DatabaseError as error:
        if not is_damage(error) and not isinstance(error, sqlite3.OperationalError):
            raise
        return CacheFile(path, size=size, used=path.stat().st_mtime, damaged=is_damage(error))
    model, engine = str(about.get("model", "")), str(about.get("engine", ""))
    return CacheFile(path, model, engine, answers, size, int(asked + answered), cost, used)


def unreached(path: Path, keys: Collection[bytes]) -> Amount:
    """The answers of a cache under other keys than these."""
    with opened(path) as connection:
        note_keys(connection, keys)
        query = (
            "select count(*), total(length(answer)), total(iif(json_valid(answer), json_extract(answer, '$.cost'), 0))"
            " from answers where key not in (select key from reached)"
        )
        answers, size, cost = connection.execute(query).fetchone()
        return Amount(answers, int(size), cost)


def drop_unreached(path: Path, keys: Collection[bytes]) -> None:
    """Drop the answers under other keys than these, and give their space back."""
    with plain_errors(path), closing(connect(path)) as connection:
        note_keys(connection, keys)
        connection.execute("delete from answers where key not in (select key from reached)")
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")
    _forget_given(path)


def remove_file(path: Path) -> None:
    """Remove a cache with its companion files."""
    for part in _parts(path):
        part.unlink(missing_ok=True)
    _forget_given(path)


def _forget_given(path: Path) -> None:
    """Answers are numbered anew from now on. Which ones were taken of others stays known: what was dropped, was."""
    note = path.with_name(NOTE)
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(note.read_text(encoding="utf-8"))
        found["given"].pop(path.name, None)
        note.write_text(json.dumps(found), encoding="utf-8")


def _parts(path: Path) -> Iterator[Path]:
    for ending in ("", "-wal", "-shm", "-journal"):
        part = path.with_name(path.name + ending)
        if part.exists():
            yield part


def opened(path: Path) -> closing[sqlite3.Connection]:
    """A cache to read. Raises DreamError `newer-store`, sqlite3.DatabaseError."""
    connection = connect(path, readonly=True)
    try:
        check_known(connection, MIGRATIONS)
    except BaseException:
        connection.close()
        raise
    return closing(connection)


def note_keys(connection: sqlite3.Connection, keys: Collection[bytes]) -> None:
    """Put keys in the table `reached`, for queries; it ends with the connection."""
    connection.execute("create temp table reached (key blob primary key) without rowid")
    connection.executemany("insert into reached values (?)", ((key,) for key in keys))


def about_of(connection: sqlite3.Connection) -> dict[str, Any]:
    """Which model gave the answers; empty where the cache does not say."""
    for (text,) in connection.execute("select model from about"):
        with suppress(ValueError):
            found = json.loads(text)
            return found if isinstance(found, dict) else {}
    return {}


def _used(connection: sqlite3.Connection) -> float:
    with suppress(sqlite3.OperationalError):  # made before this was noted
        for (at,) in connection.execute("select max(at) from used"):
            return float(at or 0.0)
    return 0.0
