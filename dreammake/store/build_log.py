"""The build log: what each target was made from when it was last built, and what ran when.

One SQLite file, `state.sqlite`, with one writer: the build that holds the lock. Reading it never makes it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dreammake.core.fingerprint import canonical
from dreammake.plan.ports import Entry, OutputRecord, Record
from dreammake.plan.recipe import Shared
from dreammake.store import db
from dreammake.store.migrations import check_known, migrate


def create(connection: sqlite3.Connection) -> None:
    connection.execute("create table ingredients (digest text primary key, json text not null)")
    connection.execute(
        "create table targets (id text primary key, rule text not null, shared text not null, own text not null,"
        " inputs text not null, outputs text not null, built_at real not null, seconds real not null,"
        " facts text not null)"
    )
    connection.execute("create table files (path text primary key, signature text not null, fingerprint text not null)")
    connection.execute(
        "create table jobs (number integer primary key, run text not null, id text not null, rule text not null,"
        " started real not null, seconds real not null, outcome text not null, facts text not null, log text not null)"
    )


def create_runs(connection: sqlite3.Connection) -> None:
    connection.execute("create table runs (run text primary key, environment text not null)")


MIGRATIONS = [create, create_runs]


class BuildLogFile:
    """The build log on disk. Raises DreamError where the file is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = self._stamp_now()
        self._db: sqlite3.Connection | None = None
        if path.exists():
            self._db = self._open(readonly=True)
        self._records: dict[str, Record] | None = None
        self._kept: set[str] = set()
        """Digests of ingredients that are in the file for sure."""

    def _open(self, *, readonly: bool) -> sqlite3.Connection:
        try:
            connection = db.connect(self.path, readonly=readonly)
            connection.execute("select count(*) from sqlite_master").fetchone()
            check_known(connection, MIGRATIONS)
            return connection
        except sqlite3.DatabaseError as error:
            if not db.is_damage(error):
                raise
            # A lost log costs a rebuild from the prompt caches, never an answer: so it is set aside, and begun anew.
            if readonly:
                return sqlite3.connect(":memory:")
            db.set_aside(self.path)
            return db.connect(self.path)

    def begin_writing(self) -> None:
        """Open the file for writing, made if it is missing. Forgets what was read if somebody wrote meanwhile."""
        if self.changed():
            self._records = None
        self.close()
        self._db = self._open(readonly=False)
        migrate(self._db, MIGRATIONS)

    def changed(self) -> bool:
        """Has anybody written since it was opened?"""
        return self._stamp_now() != self._stamp

    def _stamp_now(self) -> tuple[tuple[int, int], ...]:
        """Size and time of the database and of its write-ahead log."""
        found = []
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            try:
                stat = path.stat()
                found.append((stat.st_size, stat.st_mtime_ns))
            except FileNotFoundError:
                found.append((0, 0))
        return tuple(found)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def records(self) -> Mapping[str, Record]:
        """All records by target. Read once; kept up by `put`."""
        if self._records is None:
            rows = self._read("select id, rule, shared, own, inputs, outputs, built_at, seconds, facts from targets")
            self._records = {row[0]: _record(row) for row in rows}
        return self._records

    def ingredients(self, digest: str) -> Sequence[Sequence[Any]] | None:
        for (text,) in self._read("select json from ingredients where digest = ?", (digest,)):
            return json.loads(text)  # type: ignore[no-any-return]
        return None

    def files(self) -> dict[str, tuple[str, str]]:
        """Signature and fingerprint of every source that was read."""
        rows = self._read("select path, signature, fingerprint from files")
        return {path: (signature, content) for path, signature, content in rows}

    def history(self, limit: int) -> list[dict[str, Any]]:
        """The last jobs that ran, newest first."""
        names = ("run", "target", "rule", "started", "seconds", "outcome", "facts", "log")
        rows = self._read(
            "select run, id, rule, started, seconds, outcome, facts, log from jobs order by number desc limit ?",
            (limit,),
        )
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for entry in found:
            entry["facts"] = json.loads(entry["facts"])
        return found

    def put(self, ended: Iterable[tuple[Record, Shared, Entry | None]]) -> None:
        """Record targets that were built, the shared ingredients behind their digests, and their lines of history, all
        in one transaction."""
        assert self._db is not None
        with db.atomic(self._db):
            for record, shared, entry in ended:
                self._put(record, shared)
                if entry is not None:
                    self._add(entry)

    def _put(self, record: Record, shared: Shared) -> None:
        assert self._db is not None
        outputs = json.dumps([[output.path, output.fingerprint, output.signature] for output in record.outputs])
        values = (record.id, record.rule, record.shared, record.own, record.inputs, outputs)
        facts = canonical(dict(record.facts))
        if shared.digest not in self._kept:
            rows = canonical([[*item.row(), item.shown] for item in shared.ingredients])
            self._db.execute("insert or ignore into ingredients values (?, ?)", (shared.digest, rows))
            self._kept.add(shared.digest)
        self._db.execute(
            "insert or replace into targets values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, record.built_at, record.seconds, facts),
        )
        if self._records is not None:
            self._records[record.id] = record

    def put_outputs(self, changed: Iterable[tuple[Record, tuple[OutputRecord, ...]]]) -> None:
        """Record new signatures of outputs that were touched but hold the same."""
        assert self._db is not None
        with db.atomic(self._db):
            for record, outputs in changed:
                text = json.dumps([[output.path, output.fingerprint, output.signature] for output in outputs])
                self._db.execute("update targets set outputs = ? where id = ?", (text, record.id))

    def put_files(self, files: Mapping[str, tuple[str, str]]) -> None:
        """Remember fingerprints of sources by their signatures."""
        assert self._db is not None
        rows = [(path, signature, content) for path, (signature, content) in files.items()]
        with db.atomic(self._db):
            self._db.executemany("insert or replace into files values (?, ?, ?)", rows)

    def forget(self, ids: Iterable[str]) -> None:
        """Drop the records of targets."""
        assert self._db is not None
        with db.atomic(self._db):
            self._db.executemany("delete from targets where id = ?", [(one,) for one in ids])
        self._records = None

    def add(self, entry: Entry) -> None:
        """One line of history."""
        assert self._db is not None
        with db.atomic(self._db):
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        assert self._db is not None
        facts = canonical(dict(entry.facts))
        row = (None, entry.run, entry.target, entry.rule, entry.started, entry.seconds, entry.outcome, facts, entry.log)
        self._db.execute("insert into jobs values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def put_run(self, run: str, environment: Mapping[str, Any]) -> None:
        """Remember in what environment the jobs of a run are done."""
        assert self._db is not None
        with db.atomic(self._db):
            self._db.execute("insert or replace into runs values (?, ?)", (run, canonical(dict(environment))))

    def environment_of(self, target: str) -> dict[str, Any]:
        """The environment of a target's last build; nothing where it is not known."""
        found = self._read(
            "select environment from jobs join runs using (run) where id = ? and outcome = 'built'"
            " order by number desc limit 1",
            (target,),
        )
        return next((dict(json.loads(text)) for (text,) in found), {})

    def _read(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        if self._db is None:
            return iter(())
        try:
            return iter(self._db.execute(sql, values).fetchall())
        except sqlite3.OperationalError:
            return iter(())


def _record(row: Sequence[Any]) -> Record:
    outputs = tuple(OutputRecord(*output) for output in json.loads(row[5]))
    return Record(row[0], row[1], row[2], row[3], row[4], outputs, row[6], row[7], json.loads(row[8]))
