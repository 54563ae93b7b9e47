"""Files as they come: every format, and every way in which they go wrong."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.steps import _csv_files, _files
from dreammake.steps.load import Load
from tests.support.work import TestWork, apply

ROWS = [{"id": 1, "text": "a"}, {"id": 2, "text": 'é, "x"\nz'}, {"id": 3, "text": None}]


@pytest.fixture
def work(tmp_path: Path) -> TestWork:
    return TestWork(tmp_path)


def put(work: TestWork, name: str, content: str | bytes) -> str:
    path = work.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def load(work: TestWork, source: Any, **values: Any) -> list[dict[str, Any]]:
    return apply(Load, {"source": source, **values}, [], work)


def failing(work: TestWork, source: Any, **values: Any) -> Any:
    """The diagnostic of a load that fails: while planning or while running."""
    declared = Load.Options.declared()
    options = Load.Options({k: declared[k].check(v) for k, v in {"source": source, **values}.items()})
    with pytest.raises((DreamError, Wrong)) as error:
        Load.columns(options, None, None, work)
        for _ in Load().run(options, None, None, work).batches():  # type: ignore[arg-type]
            pass
    return error.value if isinstance(error.value, Wrong) else error.value.diagnostics[0]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_json_of_all_kinds(work: TestWork) -> None:
    put(work, "a.jsonl", lines(ROWS))
    put(work, "bom.ndjson", b"\xef\xbb\xbf" + lines(ROWS).replace("\n", "\r\n").encode().rstrip())
    put(work, "array.json", json.dumps(ROWS, indent=2))
    put(work, "object.json", json.dumps({"meta": {"n": 1}, "rows": ROWS}))
    put(work, "deep.json", json.dumps({"a": {"b": ROWS}, "c": []}))
    put(work, "lines.json", lines(ROWS))
    for source in ("a.jsonl", "bom.ndjson", "array.json", "object.json", "lines.json"):
        assert load(work, source) == ROWS, source
    assert load(work, "deep.json", field="a.b") == ROWS
    assert load(work, "a.jsonl", columns=["text"]) == [{"text": row["text"]} for row in ROWS]
    assert load(work, put(work, "empty.json", "[]")) == []


def test_compressed_and_recoded_files(work: TestWork) -> None:
    put(work, "a.jsonl.gz", gzip.compress(lines(ROWS).encode()))
    put(work, "b.jsonl.bz2", bz2.compress(lines(ROWS).encode()))
    put(work, "c.jsonl.zst", pa.compress(lines(ROWS).encode(), codec="zstd", asbytes=True))
    for source in ("a.jsonl.gz", "b.jsonl.bz2", "c.jsonl.zst"):
        assert load(work, source) == ROWS
    put(work, "l.csv", "a,b\nä,1\n".encode("latin-1"))
    assert load(work, "l.csv", encoding="latin-1") == [{"a": "ä", "b": 1}]
    put(work, "u.csv", "a,b\nä,1\n".encode("utf-16"))
    assert load(work, "u.csv", encoding="utf-16") == [{"a": "ä", "b": 1}]


def test_json_text_that_looks_like_a_time_stays_text(work: TestWork) -> None:
    rows = [{"t": "2020-01-01", "s": {"at": "2020-01-01T00:00:00Z"}, "l": ["2020-01-01"]}]
    assert load(work, put(work, "t.jsonl", lines(rows))) == rows


def test_json_blocks_do_not_matter(work: TestWork, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"n": i if i < 50 else i / 2, "t": None if i < 60 else "x", "l": [], "s": {"a": i}} for i in range(100)]
    put(work, "a.jsonl", lines(rows))
    monkeypatch.setattr(_files, "_BLOCK", 64)
    monkeypatch.setattr("dreammake.steps._files.line_blocks.__defaults__", (64,))
    assert load(work, "a.jsonl") == rows


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"a": st.text(max_size=30), "b": st.lists(st.integers(), max_size=3)}), max_size=9)
)
def test_an_array_is_read_piece_by_piece(tmp_path_factory: Any, rows: list[Any]) -> None:
    from dreammake.steps import _json_files

    work = TestWork(tmp_path_factory.mktemp("array"))
    put(work, "a.json", json.dumps(rows, indent=1, ensure_ascii=False))
    before, _json_files._CHUNK = _json_files._CHUNK, 7
    try:
        found = list(_json_files._rows(_files.find(["a.json"], work.path)[0], Load.Options({"source": ["a.json"]})))
    finally:
        _json_files._CHUNK = before
    assert [row for _, row in found] == rows


def test_csv_types_are_those_of_the_whole_column(work: TestWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_csv_files, "_BLOCK", 256)
    body = "".join(f"{i},{i if i < 90 else 'x'},{i if i < 90 else i / 2},true,,\n" for i in range(100))
    put(work, "a.csv", "int,late,float,flag,none,\n" + body)
    made = load(work, "a.csv")
    assert made[0] == {"int": 0, "late": "0", "float": 0.0, "flag": True, "none": "", "column6": ""}
    assert made[99] == {"int": 99, "late": "x", "float": 49.5, "flag": True, "none": "", "column6": ""}


def test_csv_cells(work: TestWork) -> None:
    put(work, "a.csv", '\ufeffid,text\n1,"a ""q"", b\nc"\n\n,\nNA,NA\n')
    assert load(work, "a.csv") == [
        {"id": 1, "text": 'a "q", b\nc'},
        {"id": None, "text": ""},
        {"id": None, "text": "NA"},
    ]
    put(work, "a.tsv", "a\tb\n1\t2020-01-01\n")
    assert load(work, "a.tsv") == [{"a": 1, "b": "2020-01-01"}]
    put(work, "s.csv", "1;'x;y'\n")
    assert load(work, "s.csv", separator=";", quote="'", header=False) == [{"column1": 1, "column2": "x;y"}]
    assert load(work, "s.csv", separator=";", quote="'", header=False, columns=["n", "t"]) == [{"n": 1, "t": "x;y"}]
    put(work, "q.csv", 'a,b\n"x,1\n')
    assert load(work, "q.csv", quote="") == [{"a": '"x', "b": 1}]
    assert load(work, put(work, "h.csv", "a,b\n")) == []
    assert load(work, put(work, "w.csv", "a,b\r\n1,2\r\n"), columns=["b"]) == [{"b": 2}]


def test_several_files_are_united(work: TestWork) -> None:
    put(work, "d/b.csv", "id,x\n1,2\n")
    put(work, "d/a.csv", "id,y\nq,0.5\n")
    united = [{"id": "q", "y": 0.5, "x": None}, {"id": "1", "y": None, "x": 2}]
    assert load(work, "d/*.csv") == united
    assert load(work, "d") == united
    assert load(work, ["d/b.csv", "d/a.csv"]) == [{"id": "1", "x": 2, "y": None}, {"id": "q", "x": None, "y": 0.5}]
    put(work, "odd[1].csv", "a\n1\n")
    assert load(work, "odd[1].csv") == [{"a": 1}]


def test_binary_formats(work: TestWork) -> None:
    table = pa.Table.from_pylist(ROWS)
    pa.parquet.write_table(table, work.path("a.parquet"), row_group_size=2)
    pa.feather.write_feather(table, work.path("a.feather"))
    with pa.ipc.new_stream(str(work.path("stream.arrow")), table.schema) as writer:
        writer.write_table(table)
    work.dataset("ours", ROWS)
    for source in ("a.parquet", "a.feather", "stream.arrow", "ours"):
        assert load(work, source) == ROWS, source
    assert load(work, "a.parquet", columns=["text"]) == [{"text": row["text"]} for row in ROWS]


def test_a_parquet_file_without_the_wanted_columns_still_has_its_rows(work: TestWork) -> None:
    pa.parquet.write_table(pa.table({"a": [1, 2]}), work.path("a.parquet"))
    pa.parquet.write_table(pa.table({"b": [3]}), work.path("b.parquet"))
    assert load(work, "*.parquet", columns=["b"]) == [{"b": None}, {"b": None}, {"b": 3}]


def test_foreign_datasets_with_splits(work: TestWork) -> None:
    import datasets

    train, test = datasets.Dataset.from_list(ROWS), datasets.Dataset.from_list(ROWS[:1])
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(str(work.path("hf")))
    assert load(work, "hf", split="test") == ROWS[:1]
    assert load(work, "hf/train") == ROWS
    assert failing(work, "hf").code == "several-splits"
    assert failing(work, "hf", split="tset").hint == "did you mean `test`?"


def test_parquet_of_the_hub_keeps_its_features(work: TestWork) -> None:
    import datasets

    features = datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"])})
    datasets.Dataset.from_dict({"label": [0, 1]}, features=features).to_parquet(str(work.path("a.parquet")))
    from dreammake.store.dataset import write_dataset

    write_dataset(Load().run(Load.Options({"source": ["a.parquet"]}), None, None, work), work.path("d"))  # type: ignore[arg-type]
    assert datasets.load_from_disk(str(work.path("d"))).features == features


def test_text_is_a_row_a_line(work: TestWork) -> None:
    put(work, "a.txt", "one\r\n\ntwo\n")
    assert load(work, "a.txt") == [{"text": "one"}, {"text": ""}, {"text": "two"}]
    assert load(work, put(work, "b.txt", "no end")) == [{"text": "no end"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": }\n', "a.jsonl, line 3: no JSON: Expecting value at column 7"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "a.jsonl, line 2: a row is an object in braces, not an array"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', "a.jsonl, line 2: not UTF-8 text"),
        ("a.json", '[{"a": 1},\n{"a": x}]', "a.json, line 2: no JSON: Expecting value"),
        ("a.json", '[{"a": 1},\n', "a.json, line 2: the array is not closed"),
        ("a.json", "[1, 2]", "a.json, line 1: the array holds something that is no object"),
        ("a.json", '{"a": [{}], "b": [{}]}', "a.json: the object should have one list of rows"),
        ("a.csv", 'a,b\n1,2\n"x\ny",3,4\n', "a.csv, line 4: 3 cells in place of 2"),
        ("a.csv", "a,b\n1\n", "a.csv, line 2: 1 cells in place of 2"),
        ("a.csv", b"a,b\n1,\xff\n", "a.csv, line 2: not utf-8 text"),
        ("a.csv", "a,a\n1,2\n", "a.csv, line 1: two columns are called `a`"),
        ("a.txt", b"ok\n\xff\n", "a.txt, line 2: not UTF-8 text"),
        ("a.csv", b"PK\x03\x04\x00\x00", "a.csv: this is no csv but binary data"),
        ("a.parquet", b"PAR1 this is none", "a.parquet: not a whole Parquet file"),
        ("a.arrow", b"ARROW1 this is none", "a.arrow: not a whole Arrow file"),
    ],
)
def test_bad_data_has_its_file_and_line(work: TestWork, name: str, content: str | bytes, message: str) -> None:
    found = failing(work, put(work, name, content))
    assert (found.code, found.message[: len(message)]) == ("bad-data", message)


def test_bad_data_far_into_a_file(work: TestWork) -> None:
    good = lines([{"a": i, "t": "x" * 90} for i in range(60_000)])
    found = failing(work, put(work, "a.jsonl", good + '{"a": 1, "t"}\n' + good))
    assert found.message.startswith("a.jsonl, line 60001: no JSON")
    found = failing(work, put(work, "b.jsonl", good + '{"a": "x"}\n'))
    assert found.code == "mixed-types"
    found = failing(work, put(work, "c.jsonl", good + '{"a": 1, "late": 2}\n'))
    assert (found.code, found.message[:35]) == ("late-column", "c.jsonl, line 60001: the field `lat")


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "a.parquet", "a.arrow", "a.txt"])
def test_an_empty_file_is_an_error(work: TestWork, name: str) -> None:
    assert failing(work, put(work, name, "")).code == "empty-file"


def test_paths_that_are_wrong(work: TestWork) -> None:
    put(work, "data/questions.csv", "a\n1\n")
    found = failing(work, "data/question.csv")
    assert (found.code, found.hint) == ("no-such-file", "did you mean `data/questions.csv`?")
    assert (
        failing(work, "nowhere/x.csv").message == "the file `nowhere/x.csv` does not exist: there is no folder nowhere"
    )
    assert failing(work, "data/*.json").code == "no-such-file"
    assert failing(work, put(work, "x.dat", "a")).code == "unknown-format"
    assert load(work, "x.dat", format="text") == [{"text": "a"}]
    put(work, "x.csv.gz", b"not gzip at all")
    assert failing(work, "x.csv.gz").code == "unreadable-file"
    assert failing(work, "data/questions.csv", columns=["b"]).code == "unknown-column"


def test_hub_sources_plan_with_no_network(work: TestWork) -> None:
    options = Load.Options({"source": ["hf://org/name"], "split": "train"})
    assert Load.columns(options, None, None, work) is None
    assert Load.reads(options) == []


def test_columns_of_text_files_need_no_pyarrow(work: TestWork) -> None:
    import subprocess
    import sys

    put(work, "a.csv", "x,y\n1,2\n")
    put(work, "a.jsonl", lines(ROWS))
    code = (
        "import sys; from pathlib import Path; from dreammake.steps.load import Load\n"
        "class Look:\n"
        "    def columns(self, path): return None\n"
        "    def source(self, path): return Path(sys.argv[1]) / path\n"
        "print(*(Load.columns(Load.Options({'source': [s]}), None, None, Look()) for s in ('a.csv', 'a.jsonl')))\n"
        "print('pyarrow' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code, str(work.project)], capture_output=True, text=True, check=True)
    assert made.stdout.splitlines() == ["('x', 'y') ('id', 'text')", "False"]
