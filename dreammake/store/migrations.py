"""The shape of a database, as a list of functions that each take it one step further."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from dreammake.core.diagnostic import fail
from dreammake.store.db import atomic, path_of

Migration = Callable[[sqlite3.Connection], None]
"""Its name is its record: never rename one, never change what a released one does."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Apply the migrations that the database has not seen, each in one transaction with its record.

    Writes nothing where none is new. Raises DreamError `newer-store` where a newer dreammake made the file.
    """
    check_known(connection, migrations)
    for migration in migrations:
        if migration.__name__ not in applied(connection):
            _apply(connection, migration)


def check_known(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Raise DreamError `newer-store` where a newer dreammake made the file."""
    known = {migration.__name__ for migration in migrations}
    if newer := applied(connection) - known:
        fail(
            "newer-store",
            f"{path_of(connection).name} was made by a newer dreammake ({', '.join(sorted(newer))})",
            hint="update dreammake, or move the file away",
        )


def applied(connection: sqlite3.Connection) -> set[str]:
    """The names of the migrations that the database has seen."""
    if not connection.execute("select 1 from sqlite_master where name = 'migrations'").fetchone():
        return set()
    return {name for (name,) in connection.execute("select name from migrations")}


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    with atomic(connection):
        if migration.__name__ in applied(connection):  # another process was faster
            return
        connection.execute("create table if not exists migrations (name text primary key, applied text not null)")
        migration(connection)
        connection.execute(
            "insert into migrations values (?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))", (migration.__name__,)
        )
