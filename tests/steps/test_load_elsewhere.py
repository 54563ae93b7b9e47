"""`load` from databases and from addresses: real SQLite files, a real server on loopback."""

from __future__ import annotations

import contextlib
import http.server
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.options import Wrong
from dreammake.steps.load import Load
from tests.support.work import TestWork

CITIES = [{"name": "Oslo", "people": 700_000}, {"name": "Røros 🏔", "people": None}]


@pytest.fixture
def work(tmp_path: Path) -> TestWork:
    with contextlib.closing(sqlite3.connect(tmp_path / "places.db")) as database, database:
        database.execute("create table cities (name text, people integer)")
        database.executemany("insert into cities values (:name, :people)", CITIES)
        database.execute('create table "odd ""name" (x)')
    return TestWork(tmp_path)


def load(work: TestWork, source: str, **given: Any) -> list[dict[str, Any]]:
    rows = Load().run(Load.Options({"source": [source], **given}), None, None, work)  # type: ignore[arg-type]
    return list(rows.dicts())


def failure(work: TestWork, source: str, **given: Any) -> Diagnostic:
    with pytest.raises(DreamError) as error:
        load(work, source, **given)
    return error.value.diagnostics[0]


def columns(work: TestWork, source: str, **given: Any) -> Any:
    return Load.columns(Load.Options({"source": [source], **given}), None, None, work)


@pytest.mark.parametrize("source", ["places.db", "sqlite:///places.db"])
def test_a_sqlite_file_is_read_by_query_or_table(work: TestWork, source: str) -> None:
    assert load(work, source, table="cities") == CITIES
    assert load(work, source, query="select name from cities where people > 0") == [{"name": "Oslo"}]
    assert load(work, source, table="cities", columns=["people"]) == [{"people": 700_000}, {"people": None}]
    assert columns(work, source, query="select name as city, 1 as one from cities") == ("city", "one")
    assert Load.reads(Load.Options({"source": [source]})) == ["places.db"]


def test_any_database_is_read_through_sqlalchemy(work: TestWork) -> None:
    url = f"sqlite+pysqlite:///{work.project}/places.db"
    assert load(work, url, table="cities") == CITIES
    assert Load.reads(Load.Options({"source": [url]})) == []
    assert columns(work, url, table="cities") is None
    found = failure(work, url, query="select mayor from cities")
    assert found.code == "bad-query"
    assert found.message.endswith("refuses the `query`: no such column: mayor")
    assert failure(work, url, table="towns").message.endswith("refuses the `table`: no such table: towns")
    assert load(work, url, query="select ' :name' as a, '1::int' as b") == [{"a": " :name", "b": "1::int"}]
    assert load(work, url, table='odd "name') == []


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("nothing://localhost/x", "unreachable-source", "no database `nothing`"),
        ("sqlite+pysqlite:///no/such/folder/x.db", "unreachable-source", "cannot be reached: unable to open"),
        ("post gres://localhost", "unreachable-source", "no URL of a database"),
        ("mssql+pymssql://me:secret@localhost/x", "missing-package", "me:***@localhost/x needs pymssql"),
        ("mysql://localhost/x", "missing-package", "needs mysqlclient, which is not installed"),
    ],
)
def test_a_database_that_cannot_be_asked_is_told(work: TestWork, source: str, code: str, words: str) -> None:
    found = failure(work, source, table="t")
    assert found.code == code
    assert words in found.message
    assert "secret" not in found.message


def test_an_empty_table_has_its_columns(work: TestWork) -> None:
    rows = Load().run(Load.Options({"source": ["places.db"], "table": 'odd "name'}), None, None, work)  # type: ignore[arg-type]
    assert rows.columns == ("x",)
    assert list(rows.dicts()) == []


def test_a_query_that_fails_is_told_while_planning(work: TestWork) -> None:
    with pytest.raises(Wrong, match="no such table: citis") as wrong:
        columns(work, "places.db", table="citis")
    assert wrong.value.code == "bad-query"
    assert wrong.value.hint == "did you mean `cities`?"
    assert failure(work, "places.db", query="selct 1").code == "bad-query"
    assert failure(work, "places.db", query="create table x (y)").code in ("bad-query", "no-columns")
    assert failure(work, "nowhere.db", table="x").code == "no-such-file"
    (work.project / "text.db").write_text("this is no database, whatever its name may say about it")
    assert failure(work, "text.db", table="x").code == "bad-query"


@pytest.mark.parametrize(
    ("sources", "given", "code"),
    [
        (["places.db"], {}, "missing-option"),
        (["places.db"], {"table": "a", "query": "b"}, "missing-option"),
        (["a.csv"], {"table": "a"}, "conflicting-options"),
        (["a.csv", "hf://org/name"], {}, "conflicting-options"),
        (["places.db", "hf://org/name"], {"table": "a"}, "conflicting-options"),
    ],
)
def test_sources_that_do_not_fit_are_refused(
    work: TestWork, sources: list[str], given: dict[str, Any], code: str
) -> None:
    with pytest.raises(Wrong) as wrong:
        Load.columns(Load.Options({"source": sources, **given}), None, None, work)
    assert wrong.value.code == code


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server on loopback over a folder with two files."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "cities.csv").write_text("name,people\nOslo,700000\n")
    (folder / "lines.data").write_text('{"name": "Oslo"}\n')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)

        def send_head(self) -> Any:
            return self.send_error(403) if "closed" in self.path else super().send_head()

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_an_address_is_fetched_and_read_as_the_file_that_it_is(work: TestWork, address: str) -> None:
    assert load(work, f"{address}/cities.csv") == [{"name": "Oslo", "people": 700_000}]
    assert load(work, f"{address}/cities.csv?version=2") == [{"name": "Oslo", "people": 700_000}]
    assert load(work, f"{address}/lines.data", format="jsonl") == [{"name": "Oslo"}]
    assert columns(work, f"{address}/cities.csv") is None
    with pytest.raises(Wrong, match=f"the ending of `{address}/lines.data` does not tell its format"):
        columns(work, f"{address}/lines.data")


def test_a_bucket_is_read_through_fsspec(work: TestWork) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/bucket/cities.csv", b"name,people\nOslo,700000\n")
    fsspec.filesystem("memory").pipe("/bucket/more/cities.csv", b"name,people\nBergen,290000\n")
    oslo, bergen = {"name": "Oslo", "people": 700_000}, {"name": "Bergen", "people": 290_000}
    assert load(work, "memory://bucket/cities.csv") == [oslo]
    assert load(work, "memory://bucket/**/cities.csv") == [oslo, bergen]
    assert failure(work, "memory://bucket/*.tsv").message == "no file matches memory://bucket/*.tsv"


def test_an_address_that_is_gone_is_told(work: TestWork, address: str) -> None:
    found = failure(work, f"{address}/towns.csv")
    assert (found.code, found.message) == (
        "unreachable-source",
        f"{address}/towns.csv cannot be fetched: there is no such file",
    )
    assert failure(work, "http://127.0.0.1:9/x.csv").message.endswith("cannot be fetched: no server answers there")
    assert failure(work, f"{address}/closed.csv").message.endswith("cannot be fetched: the server answers 403")
    assert failure(work, "memory://bucket/towns.csv").message.endswith("cannot be fetched: there is no such file")
    assert failure(work, f"{address}/lines.data").code == "unknown-format"
