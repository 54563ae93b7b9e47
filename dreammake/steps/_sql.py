"""Rows of a database: a SQLite file, or any that SQLAlchemy knows by its URL. They are read as a stream."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core.diagnostic import fail
from dreammake.core.rows import BATCH_ROWS, Rows, batch_of_lists
from dreammake.core.secrets import SECRETS
from dreammake.core.spelling import did_you_mean
from dreammake.core.step import Columns, Work
from dreammake.steps._sources import local_path, without_password

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

_NO_TABLE = "no such table: "
"""How SQLite says it."""
_PACKAGES = {"MySQLdb": "mysqlclient"}
"""Drivers whose package has another name than their module."""


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
            return _names(database.execute(_for_sqlite(options)).description)
        except sqlite3.Error as error:
            _refused(shown, error, options, _tables(database))


def _of_sqlite(place: Path, shown: str, options: Any) -> Iterator[pa.RecordBatch]:
    with closing(_opened(place, shown)) as database:
        try:
            cursor = database.execute(_for_sqlite(options))
            names = _names(cursor.description)
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield _batch(names, rows)
        except sqlite3.Error as error:
            _refused(shown, error, options)


def _tables(database: sqlite3.Connection) -> list[str]:
    """The tables of a SQLite file; none where it is no database at all."""
    with suppress(sqlite3.Error):
        return [name for (name,) in database.execute("select name from sqlite_master where type in ('table', 'view')")]
    return []


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

    shown = without_password(source)
    engine = _engine(source, shown)
    try:
        try:
            connection = engine.connect()
        except sqlalchemy.exc.SQLAlchemyError as error:
            reason = f"{shown} cannot be reached: {_first_line(error)}"
            hint = "look whether the server runs there, and what it asks for"
            fail("unreachable-source", reason, hint=hint, exit_code=1)
        with connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS):
            yield connection.execute(_for_server(options))
    except sqlalchemy.exc.SQLAlchemyError as error:
        _refused(shown, error, options)
    finally:
        engine.dispose()


def _engine(source: str, shown: str) -> Any:
    """SQLAlchemy's engine, which has not called anybody yet."""
    import sqlalchemy

    try:
        return sqlalchemy.create_engine(source)
    except ImportError as error:
        package = _PACKAGES.get(error.name or "", error.name)
        hint = f"pip install {package}, or name another driver: `{source.partition(':')[0]}+DRIVER://`"
        fail("missing-package", f"{shown} needs {package}, which is not installed", hint=hint, exit_code=1)
    except sqlalchemy.exc.NoSuchModuleError:
        kind = source.partition(":")[0]
        hint = "take one that it knows: `postgresql`, `mysql`, `mssql`, `oracle`, or install its package"
        fail("unreachable-source", f"SQLAlchemy knows no database `{kind}`", hint=hint, exit_code=1)
    except sqlalchemy.exc.ArgumentError:
        hint = 'write it as `"postgresql://user@server/database"`'
        fail("unreachable-source", f"{shown} is no URL of a database", hint=hint, exit_code=1)


def _for_server(options: Any) -> Any:
    """The query as it is written, with no parameters in it; a table's name as the server quotes names."""
    import sqlalchemy

    if options.query is not None:
        return sqlalchemy.text(str(options.query).replace(":", "\\:"))
    return sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(str(options.table)))


def _for_sqlite(options: Any) -> str:
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


def _refused(shown: str, error: Exception, options: Any, tables: Sequence[str] = ()) -> NoReturn:
    """`tables` are those that there are."""
    reason = _first_line(error)
    asked = "table" if options.query is None else "query"
    missing = reason.removeprefix(_NO_TABLE)
    hint = did_you_mean(missing, tables) if missing != reason else ""
    hint = hint or "try it in the database's own shell"
    fail("bad-query", f"{shown} refuses the `{asked}`: {reason}", hint=hint, exit_code=1)


def _first_line(error: Exception) -> str:
    return SECRETS.hide(str(getattr(error, "orig", None) or error).strip().split("\n")[0])


def _need_sqlalchemy(source: str) -> None:
    if find_spec("sqlalchemy") is None:
        fail(
            "missing-package",
            f"{without_password(source)} needs sqlalchemy, which is not installed",
            hint="pip install sqlalchemy, and the driver of your database",
            exit_code=1,
        )
