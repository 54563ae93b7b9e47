"""Rows of a database: a SQLite file, or any that SQLAlchemy knows by its URL. They are read as a stream."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core.diagnostic import fail
from dreammake.core.rows import BATCH_ROWS, Rows, batch_of_lists
from dreammake.core.secrets import SECRETS
from dreammake.core.step import Columns, Work
from dreammake.steps._sources import local_path, without_password

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


def rows_of(source: str, options: Any, work: Work) -> Rows:
    """What `query` gives, or all of `table`. Raises DreamError where the database refuses."""
    path = local_path(source)
    if path is not None:
        place = work.path(path)
        return Rows(sqlite_columns(place, path, options), lambda: _of_sqlite(place, path, options))
    _need_sqlalchemy(source)
    return Rows(_columns_of_server(source, options), lambda: _of_server(source, options))


def sqlite_columns(place: Path, shown: str, options: Any) -> Columns:
    """The columns of a query to a SQLite file; no row is read."""
    with closing(_opened(place, shown)) as database:
        try:
            return _names(database.execute(_statement(options)).description)
        except sqlite3.Error as error:
            _refused(shown, error)


def _of_sqlite(place: Path, shown: str, options: Any) -> Iterator[pa.RecordBatch]:
    with closing(_opened(place, shown)) as database:
        try:
            cursor = database.execute(_statement(options))
            names = _names(cursor.description)
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield _batch(names, rows)
        except sqlite3.Error as error:
            _refused(shown, error)


def _opened(place: Path, shown: str) -> sqlite3.Connection:
    if not place.is_file():
        fail("no-such-file", f"the file `{shown}` does not exist")
    return sqlite3.connect(f"{place.resolve().as_uri()}?mode=ro", uri=True)


def _columns_of_server(source: str, options: Any) -> Columns:
    with _answered(source, options) as result:
        return tuple(result.keys())


def _of_server(source: str, options: Any) -> Iterator[pa.RecordBatch]:
    with _answered(source, options) as result:
        names = tuple(result.keys())
        for rows in result.partitions(BATCH_ROWS):
            yield _batch(names, rows)


@contextmanager
def _answered(source: str, options: Any) -> Iterator[Any]:
    """The result of the query, streamed from the server while it is read."""
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(source)
        with engine.connect().execution_options(stream_results=True, max_row_buffer=BATCH_ROWS) as connection:
            yield connection.execute(sqlalchemy.text(_statement(options)))
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        _refused(without_password(source), error)


def _statement(options: Any) -> str:
    if options.query is not None:
        return str(options.query)
    name = str(options.table).replace('"', '""')
    return f'select * from "{name}"'


def _names(description: Sequence[Sequence[Any]] | None) -> Columns:
    if description is None:
        fail("no-columns", "the query gives no rows: it is no `select`", exit_code=1)
    return tuple(column[0] for column in description)


def _batch(names: Columns, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    return batch_of_lists(names, list(zip(*rows, strict=True)))


def _refused(shown: str, error: Exception) -> NoReturn:
    reason = SECRETS.hide(str(getattr(error, "orig", None) or error).strip().split("\n")[0])
    fail(
        "bad-query",
        f"{shown} refuses the query: {reason}",
        hint="try the query in the database's own shell",
        exit_code=1,
    )


def _need_sqlalchemy(source: str) -> None:
    if find_spec("sqlalchemy") is None:
        fail(
            "missing-package",
            f"{without_password(source)} needs sqlalchemy, which is not installed",
            hint="pip install sqlalchemy, and the driver of your database",
            exit_code=1,
        )
