"""The prompt cache: every answer that a model gave, one SQLite file a model.

A row is one answer: `key` (bytes that say all which shaped it but `max_tokens`), `max_tokens` (the limit that it
was asked under, 0 for none) and `answer`, a JSON object: `text`, `finish_reason`, `prompt_tokens`,
`completion_tokens`, `cached_tokens`, `cost` (dollars), `seconds`, `reasoning`, `created` (Unix time); what is null is
left out.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Answer
from dreammake.core.values import NOTHING
from dreammake.store.db import atomic, connect, is_damage, plain_errors, set_aside
from dreammake.store.migrations import check_known, migrate

T = TypeVar("T")

_KEYS_A_QUERY = 900
_UNLIMITED = 1 << 62
_INSERT = """
    insert into answers values (?, ?, ?) on conflict (key, max_tokens) do update set answer = excluded.answer
    where not json_valid(answers.answer) or answers.answer ->> '$.finish_reason' is null
"""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Typical:
    """Means over the newest answers of a model: None where the cache has none that says."""

    completion_tokens: float | None = None
    seconds: float | None = None


class PromptCache:
    """The answers of one model. Several processes may share the file, and several threads one object.

    `about` says which model it is, for people who open the file. A read-only cache makes no file, and is empty
    where there is none. A damaged file is set aside (`NAME.damaged-1`), said through `say`, and begun anew.
    """

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool = False,
        about: Mapping[str, Any] = NOTHING,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._readonly = readonly
        self._about = about
        self._say = say
        self._clock = clock
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._mend(error)

    def lookup(self, keys: Iterable[bytes], max_tokens: int | None = None) -> dict[bytes, Answer]:
        """The answers that serve a request under this limit, by key; a key without one is left out.

        An answer that ended by itself serves every limit that it keeps to; one that was cut, only its own.
        """
        wanted = sorted(set(keys))
        best: dict[bytes, tuple[tuple[bool, int], Answer]] = {}
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            for key, limit, text in self._select(wanted[start : start + _KEYS_A_QUERY]):
                if (answer := _read(text)) is None:
                    continue
                rank = (limit != (max_tokens or 0), limit or _UNLIMITED)
                if _serves(answer, limit, max_tokens or 0) and (key not in best or rank < best[key][0]):
                    best[key] = rank, answer
        return {key: answer for key, (_, answer) in best.items()}

    def add(self, answers: Iterable[tuple[bytes, Answer]], max_tokens: int | None = None) -> dict[bytes, Answer]:
        """Keep answers that were asked under this limit, all in one transaction.

        Where the file has one already (another process asked the same), that one stays, and is given back.
        Raises DreamError `disk-full`.
        """
        limit = max_tokens or 0
        rows = [(key, limit, self._write(answer)) for key, answer in answers]
        inserted = self._with(lambda connection: _insert(connection, rows), None)
        if inserted is None:  # the file was damaged, and is a new one now
            inserted = self._with(lambda connection: _insert(connection, rows), len(rows))
        if inserted == len(rows):
            return {}
        mine = {key: answer for key, _, text in rows if (answer := _read(text)) is not None}
        kept = self.lookup(mine, max_tokens)
        return {key: answer for key, answer in kept.items() if answer != mine[key]}

    def take_over(self, rows: list[tuple[bytes, int, str]]) -> int:
        """Keep rows of another cache, in one transaction; the answers that are here stay. Gives how many are new."""
        return self._with(lambda connection: _insert(connection, rows), 0)

    def typical(self) -> Typical:
        """How long an answer of this model is and takes, by the newest of them."""
        rows = self._rows("select answer from answers order by rowid desc limit 1000")
        recent = [answer for (text,) in rows if (answer := _read(text)) is not None]
        return Typical(
            _mean([answer.completion_tokens for answer in recent]), _mean([answer.seconds for answer in recent])
        )

    def __len__(self) -> int:
        return sum(count for (count,) in self._rows("select count(*) from answers"))

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and not self._readonly:
                self._remember_use()
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _remember_use(self) -> None:
        """Note when the cache was last used. What keeps that from being written matters elsewhere."""
        with suppress(sqlite3.Error, DreamError):
            assert self._connection is not None
            with atomic(self._connection):
                self._connection.execute("delete from used")
                self._connection.execute("insert into used values (?)", (self._clock(),))

    def _open(self) -> None:
        if self._readonly and not self.path.exists():
            return
        self._inode = _inode(self.path)
        connection = connect(self.path, readonly=self._readonly)
        try:
            self._inode = _inode(self.path)
            if self._readonly:
                check_known(connection, MIGRATIONS)
                if not connection.execute("select 1 from sqlite_master where name = 'answers'").fetchone():
                    connection.close()  # somebody has just begun to make it
                    return
                connection.execute("select key from answers limit 1").fetchone()
            else:
                migrate(connection, MIGRATIONS)
                if self._about and not connection.execute("select 1 from about").fetchone():
                    with atomic(connection):
                        connection.execute("insert into about values (?)", (_encode(dict(self._about)),))
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _select(self, keys: Sequence[bytes]) -> list[tuple[bytes, int, str]]:
        marks = ",".join("?" * len(keys))
        return self._rows(f"select key, max_tokens, answer from answers where key in ({marks})", keys)

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._with(lambda connection: connection.execute(query, values).fetchall(), [])

    def _with(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What `work` makes of the database, or `otherwise` where there is none or it is damaged."""
        with self._lock, plain_errors(self.path):
            if self._connection is None:
                return otherwise
            try:
                return work(self._connection)
            except sqlite3.DatabaseError as error:
                self._mend(error)
                return otherwise

    def _mend(self, error: sqlite3.DatabaseError) -> None:
        """Set a damaged file aside and begin anew; raise what is no damage."""
        if not is_damage(error):
            raise error
        self._disconnect()
        if self._readonly:
            self._say(f"warning: the prompt cache {self.path.name} is damaged; its answers will be asked again")
            return
        if _inode(self.path) == self._inode:  # else another process has done it already
            aside = set_aside(self.path).name
            self._say(
                f"warning: the prompt cache {self.path.name} was damaged; it is now {aside}, and a new one begins"
            )
        self._open()

    def _write(self, answer: Answer) -> str:
        fields = {
            "text": answer.text,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "seconds": None if answer.seconds is None else round(answer.seconds, 4),
            "reasoning": answer.reasoning,
            "cached_tokens": answer.cached_tokens,
            "cost": answer.cost,
            "created": round(self._clock(), 1),
        }
        return _encode({name: value for name, value in fields.items() if value is not None})


def create_answers(connection: sqlite3.Connection) -> None:
    connection.execute("create table answers (key blob not null, max_tokens integer not null, answer text not null)")
    connection.execute("create unique index answers_key on answers (key, max_tokens)")
    connection.execute("create table about (model text not null)")


def remember_use(connection: sqlite3.Connection) -> None:
    connection.execute("create table used (at real not null)")


MIGRATIONS = (create_answers, remember_use)


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def _insert(connection: sqlite3.Connection, rows: list[tuple[bytes, int, str]]) -> int:
    """How many of the rows were not there."""
    with atomic(connection):
        before = connection.total_changes
        connection.executemany(_INSERT, rows)
        return connection.total_changes - before


def _serves(answer: Answer, limit: int, wanted: int) -> bool:
    """Whether an answer asked under `limit` is what one asked under `wanted` would be (0: no limit)."""
    if limit == wanted:
        return True
    if answer.finish_reason != "stop":
        return False
    if answer.completion_tokens is not None:
        return wanted == 0 or wanted >= answer.completion_tokens
    return limit != 0 and (wanted == 0 or wanted > limit)


def _read(text: str) -> Answer | None:
    """The answer, or None where the row is no answer of ours: it is then asked again, and written anew."""
    try:
        fields = json.loads(text)
        said, ended = fields["text"], fields["finish_reason"]
    except (ValueError, KeyError, TypeError):
        return None
    get = fields.get
    return Answer(
        said,
        ended,
        get("prompt_tokens"),
        get("completion_tokens"),
        get("seconds"),
        get("reasoning"),
        cached=True,
        cached_tokens=get("cached_tokens"),
        cost=get("cost"),
    )


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
