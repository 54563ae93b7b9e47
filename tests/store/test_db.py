"""SQLite as the stores open it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.store.db import atomic, connect
from dreammake.store.migrations import migrate


def make_things(connection: sqlite3.Connection) -> None:
    connection.execute("create table things (name text)")


def add_colour(connection: sqlite3.Connection) -> None:
    connection.execute("alter table things add column colour text")


def break_off(connection: sqlite3.Connection) -> None:
    connection.execute("alter table things add column size text")
    raise RuntimeError("killed here")


def things(path: Path) -> sqlite3.Connection:
    connection = connect(path)
    migrate(connection, [make_things])
    return connection


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    connection = things(tmp_path / "a.sqlite")
    with pytest.raises(RuntimeError), atomic(connection):
        connection.execute("insert into things values ('lost')")
        raise RuntimeError
    with atomic(connection):
        connection.execute("insert into things values ('kept')")
    assert connection.execute("select name from things").fetchall() == [("kept",)]


def test_a_full_disk_is_said_in_words_and_leaves_what_was_there(tmp_path: Path) -> None:
    connection = things(tmp_path / "a.sqlite")
    with atomic(connection):
        connection.execute("insert into things values ('kept')")
    connection.execute("pragma max_page_count = 4")
    with pytest.raises(DreamError) as raised, atomic(connection):
        connection.executemany("insert into things values (?)", [("x" * 1000,)] * 100)
    assert raised.value.diagnostics[0].code == "disk-full"
    assert raised.value.exit_code == 1
    assert connection.execute("select name from things").fetchall() == [("kept",)]


def test_readonly_sees_what_another_writes_and_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    writer = things(path)
    with atomic(writer):
        writer.execute("insert into things values ('in the log')")
    reader = connect(path, readonly=True)
    assert reader.execute("select name from things").fetchall() == [("in the log",)]
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("insert into things values ('x')")
    reader.close()
    writer.close()
    assert [file.name for file in tmp_path.iterdir()] == ["a.sqlite"]
    reader = connect(path, readonly=True)
    assert reader.execute("select name from things").fetchall() == [("in the log",)]
    assert [file.name for file in tmp_path.iterdir()] == ["a.sqlite"]
    reader.close()


def test_a_name_with_odd_characters_opens_readonly(tmp_path: Path) -> None:
    path = tmp_path / "a ? b#%41.sqlite"
    things(path).close()
    assert connect(path, readonly=True).execute("select count(*) from things").fetchone() == (0,)


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    connection = things(tmp_path / "a.sqlite")
    migrate(connection, [make_things, add_colour])
    migrate(connection, [make_things, add_colour])
    columns = [row[1] for row in connection.execute("pragma table_info(things)")]
    assert columns == ["name", "colour"]


def test_a_migration_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    connection = things(tmp_path / "a.sqlite")
    with pytest.raises(RuntimeError):
        migrate(connection, [make_things, break_off])
    migrate(connection, [make_things, add_colour])
    assert [row[1] for row in connection.execute("pragma table_info(things)")] == ["name", "colour"]


def test_the_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.sqlite")
    migrate(connection, [make_things, add_colour])
    with pytest.raises(DreamError, match=r"newer-store: a\.sqlite was made by a newer dreammake"):
        migrate(connection, [make_things])
