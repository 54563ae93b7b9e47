"""Datasets on disk: the same rows give the same bytes, whatever way they came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.rows import Rows, from_dicts
from dreammake.store import dataset_writer
from dreammake.store.dataset import dataset_columns, open_dataset, spool, write_dataset
from dreammake.store.files import fingerprint_path

ROWS = [
    {
        "id": i,
        "maybe": None if i % 3 == 0 else i / 2,
        "text": None if i % 5 == 0 else f"text {i} é",
        "flag": None if i % 7 == 0 else i % 2 == 0,
        "tags": None if i % 11 == 0 else [{"name": f"t{i}", "n": [i]}] * (i % 3),
        "meta": None if i % 13 == 0 else {"a": i, "b": None if i % 2 else {"c": "x"}},
    }
    for i in range(2345)
]


def in_batches(rows: list[dict[str, Any]], size: int) -> Rows:
    def batches() -> Iterator[pa.RecordBatch]:
        for at in range(0, len(rows), size):
            yield pa.RecordBatch.from_pylist(rows[at : at + size])

    return Rows(tuple(rows[0]), batches)


def in_slices(rows: list[dict[str, Any]], size: int) -> Rows:
    whole = pa.RecordBatch.from_pylist(rows)
    return Rows(tuple(rows[0]), lambda: (whole.slice(at, size) for at in range(0, len(rows), size)))


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("size", [1, 7, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("cut", [in_batches, in_slices])
def test_equal_rows_are_equal_bytes_however_they_are_cut(tmp_path: Path, size: int, cut: Any) -> None:
    facts = write_dataset(in_batches(ROWS, len(ROWS)), tmp_path / "whole")
    write_dataset(cut(ROWS, size), tmp_path / "cut")
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
    assert list(open_dataset(tmp_path / "cut").dicts()) == ROWS
    assert facts.fingerprint == fingerprint_path(tmp_path / "cut")
    assert (facts.rows, facts.columns) == (len(ROWS), tuple(ROWS[0]))
    assert facts.bytes == sum(len(data) for name, data in files_of(tmp_path / "whole").items() if "arrow" in name)


cell = st.one_of(
    st.none(),
    st.integers(-(2**53), 2**53),
    st.fixed_dictionaries({}, optional={"x": st.integers(0, 9), "y": st.text(max_size=3)}),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_values_survive_and_bytes_do_not_depend_on_batches(tmp_path_factory: Any, data: st.DataObject) -> None:
    kinds = [
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        st.one_of(st.none(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False)),
        st.one_of(st.none(), st.text(max_size=4)),
        st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=3)),
        st.one_of(st.none(), st.fixed_dictionaries({}, optional={"x": st.integers(0, 9), "y": st.text(max_size=3)})),
    ]
    values = [data.draw(st.lists(kind, min_size=0, max_size=12)) for kind in kinds]
    count = max(map(len, values))
    rows = [{f"c{n}": column[i] if i < len(column) else None for n, column in enumerate(values)} for i in range(count)]
    columns = tuple(f"c{n}" for n in range(len(kinds)))
    cuts = [data.draw(st.integers(1, 13)), 13]
    folder = tmp_path_factory.mktemp("sets")
    for cut in cuts:

        def batches(cut: int = cut) -> Iterator[pa.RecordBatch]:
            for at in range(0, count, cut):
                yield from from_dicts(columns, rows[at : at + cut]).batches()

        write_dataset(Rows(columns, batches), folder / str(cut))
    assert files_of(folder / str(cuts[0])) == files_of(folder / "13")
    for made, row in zip(open_dataset(folder / "13").dicts(), rows, strict=True):
        assert {key: _without_nulls(value) for key, value in made.items()} == {
            key: _without_nulls(value) for key, value in row.items()
        }


def _without_nulls(value: Any) -> Any:
    """A field that a dict lacks is null on disk."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def test_what_stands_beside_a_slice_does_not_count(tmp_path: Path) -> None:
    array = pa.array(range(3000), pa.int32())
    batch = pa.record_batch([array, array.cast(pa.string()), pc.equal(array, 3)], names=["n", "t", "b"])
    for size in (1000, 700, 3000):
        cut = Rows(("n", "t", "b"), lambda size=size: (batch.slice(at, size) for at in range(0, 1700, size)))
        rows = Rows(cut.columns, lambda cut=cut: _first(cut, 1700))
        write_dataset(rows, tmp_path / str(size))
    assert files_of(tmp_path / "1000") == files_of(tmp_path / "700") == files_of(tmp_path / "3000")


def _first(rows: Rows, left: int) -> Iterator[pa.RecordBatch]:
    for part in rows.batches():
        yield part.slice(0, left)
        left -= part.num_rows
        if left <= 0:
            return


def test_what_stands_behind_a_null_does_not_count(tmp_path: Path) -> None:
    valid = pa.py_buffer(b"\x05")
    one = pa.Array.from_buffers(pa.int64(), 3, [valid, pa.py_buffer((1).to_bytes(8, "little") * 3)])
    other = pa.array([1, None, 1])
    assert one.equals(other)
    for name, array in (("one", one), ("other", other)):
        write_dataset(Rows(("n",), lambda a=array: iter([pa.record_batch([a], names=["n"])])), tmp_path / name)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "other")


def test_a_column_widens_from_null_and_from_whole_numbers(tmp_path: Path) -> None:
    parts = [[{"n": None, "s": {"a": 1}}], [{"n": 1, "s": None}], [{"n": 2.5, "s": {"b": "x"}}]]
    rows = Rows(("n", "s"), lambda: (pa.RecordBatch.from_pylist(part) for part in parts for _ in range(700)))
    facts = write_dataset(rows, tmp_path / "d")
    assert facts.schema == {"n": "double", "s": "struct<a: int64, b: string>"}
    made = list(open_dataset(tmp_path / "d").dicts())
    assert [made[0], made[700], made[1400]] == [
        {"n": None, "s": {"a": 1, "b": None}},
        {"n": 1.0, "s": None},
        {"n": 2.5, "s": {"a": None, "b": "x"}},
    ]
    assert len(made) == 2100
    assert sorted(files_of(tmp_path / "d")) == ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"]


def test_text_and_numbers_do_not_mix(tmp_path: Path) -> None:
    rows = Rows(("n",), lambda: (pa.RecordBatch.from_pylist([{"n": value}]) for value in (1, "x")))
    with pytest.raises(DreamError, match=r"the column `n` mixes text \(string\) and whole numbers \(int64\)") as error:
        write_dataset(rows, tmp_path / "d")
    assert (error.value.diagnostics[0].code, error.value.exit_code) == ("mixed-types", 1)


def test_no_rows_are_an_empty_dataset_with_its_columns(tmp_path: Path) -> None:
    facts = write_dataset(Rows(("a", "b"), lambda: iter(())), tmp_path / "d")
    made = open_dataset(tmp_path / "d")
    assert (facts.rows, made.columns, made.count, list(made.dicts())) == (0, ("a", "b"), 0, [])
    assert made.table.schema.types == [pa.string(), pa.string()]
    typed = pa.record_batch([pa.array([], pa.int32())], names=["a"])
    write_dataset(Rows(("a",), lambda: iter([typed])), tmp_path / "typed")
    assert open_dataset(tmp_path / "typed").table.schema.types == [pa.int32()]


def test_large_datasets_are_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_writer, "FILE_BYTES", 20_000)
    parts = [[{"n": None}] * 1500, [{"n": i} for i in range(8000)]]
    write_dataset(Rows(("n",), lambda: (pa.RecordBatch.from_pylist(part) for part in parts)), tmp_path / "widened")
    array = pa.array([None] * 1500 + list(range(8000)))
    write_dataset(Rows(("n",), lambda: iter([pa.record_batch([array], names=["n"])])), tmp_path / "plain")
    assert files_of(tmp_path / "widened") == files_of(tmp_path / "plain")
    assert len([name for name in files_of(tmp_path / "plain") if "arrow" in name]) > 2
    made = open_dataset(tmp_path / "plain")
    assert made.table.column("n").to_pylist() == array.to_pylist()
    assert [row["n"] for row in made.dicts()] == array.to_pylist()


def test_columns_are_known_without_pyarrow(tmp_path: Path) -> None:
    import subprocess
    import sys

    write_dataset(from_dicts(("b", "a"), [{"b": 1, "a": "x"}]), tmp_path / "d")
    code = (
        "import sys; from pathlib import Path; from dreammake.store.dataset import dataset_columns as c;"
        "print(c(Path(sys.argv[1])), 'pyarrow' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code, str(tmp_path / "d")], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "('b', 'a') False"


def test_types_that_no_dataset_has_become_plain(tmp_path: Path) -> None:
    batch = pa.record_batch(
        [
            pa.array(["x", "y", "x"]).dictionary_encode(),
            pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            pa.array(["a", None, "c"], pa.string_view()),
        ],
        names=["dictionary", "map", "view"],
    )
    facts = write_dataset(Rows(tuple(batch.schema.names), lambda: iter([batch])), tmp_path / "d")
    assert facts.schema["dictionary"] == facts.schema["view"] == "string"
    assert list(open_dataset(tmp_path / "d").dicts()) == [
        {"dictionary": "x", "map": [{"key": "k", "value": 1}], "view": "a"},
        {"dictionary": "y", "map": None, "view": None},
        {"dictionary": "x", "map": [], "view": "c"},
    ]


def damage(folder: Path, how: str) -> None:
    data = folder / "data-00000-of-00001.arrow"
    match how:
        case "cut short":
            data.write_bytes(data.read_bytes()[:-100])
        case "data gone":
            data.unlink()
        case "no state":
            (folder / "state.json").unlink()
        case "no info":
            (folder / "dataset_info.json").unlink()
        case "bad state":
            (folder / "state.json").write_text("{")


@pytest.mark.parametrize("how", ["cut short", "data gone", "no state", "no info", "bad state"])
def test_a_damaged_dataset_is_an_error(tmp_path: Path, how: str) -> None:
    write_dataset(in_batches(ROWS, 1000), tmp_path / "d")
    damage(tmp_path / "d", how)
    with pytest.raises(DreamError) as error:
        open_dataset(tmp_path / "d")
    assert error.value.diagnostics[0].code == "damaged-dataset"


def test_a_file_with_wrong_bytes_is_an_error_when_read(tmp_path: Path) -> None:
    write_dataset(in_batches(ROWS, 1000), tmp_path / "d")
    data = tmp_path / "d" / "data-00000-of-00001.arrow"
    data.write_bytes(b"\xff" * data.stat().st_size)
    for read in (lambda made: list(made.batches()), lambda made: made.table):
        with pytest.raises(DreamError, match="damaged"):
            read(open_dataset(tmp_path / "d"))


def test_what_is_no_dataset_says_so(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for path, code in ((tmp_path / "nothing", "no-such-dataset"), (tmp_path / "model", "not-a-dataset")):
        with pytest.raises(DreamError) as error:
            open_dataset(path)
        assert error.value.diagnostics[0].code == code


def test_datasets_opens_what_is_written(tmp_path: Path) -> None:
    import datasets

    write_dataset(in_batches(ROWS, 700), tmp_path / "d")
    made = datasets.load_from_disk(str(tmp_path / "d"))
    assert made.num_rows == len(ROWS)
    assert made[:] == {column: [row[column] for row in ROWS] for column in ROWS[0]}
    assert made.features.to_dict() == json.loads((tmp_path / "d" / "dataset_info.json").read_text())["features"]
    write_dataset(Rows(("a",), lambda: iter(())), tmp_path / "empty")
    assert datasets.load_from_disk(str(tmp_path / "empty")).column_names == ["a"]


def test_features_follow_datasets(tmp_path: Path) -> None:
    """What stands in dataset_info.json is what `datasets` makes of the same Arrow types."""
    from datasets.features.features import Features

    from dreammake.core.features import features_of

    kinds = [
        *(pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string()),
        *(pa.binary(), pa.binary(4), pa.date32(), pa.date64(), pa.time32("s"), pa.time64("us"), pa.duration("ms")),
        *(pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.decimal128(9, 2), pa.null(), pa.list_(pa.int8(), 3)),
        *(pa.large_list(pa.int8()), pa.list_(pa.struct([("x", pa.list_(pa.string()))]))),
    ]
    schema = pa.schema([(f"c{number}", kind) for number, kind in enumerate(kinds)])
    assert features_of(schema) == Features.from_arrow_schema(schema).to_dict()


def test_foreign_datasets_open_and_their_features_stay(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"]), "text": datasets.Value("string")})
    foreign = datasets.Dataset.from_dict({"label": [0, 1, 1], "text": ["a", "b", None]}, features=features)
    foreign.save_to_disk(str(tmp_path / "foreign"))
    opened = open_dataset(tmp_path / "foreign")
    assert (opened.columns, opened.count, dataset_columns(tmp_path / "foreign")) == (
        ("label", "text"),
        3,
        opened.columns,
    )
    chosen = opened.then(("label",), lambda batch: batch.select(["label"]).filter(pa.array([True, False, True])))
    assert spool(chosen, tmp_path / "ours").table.column("label").to_pylist() == [0, 1]
    assert datasets.load_from_disk(str(tmp_path / "ours")).features == {"label": features["label"]}
    datasets.DatasetDict({"train": foreign, "test": foreign}).save_to_disk(str(tmp_path / "both"))
    with pytest.raises(DreamError, match="several datasets: train, test"):
        open_dataset(tmp_path / "both")
    assert open_dataset(tmp_path / "both" / "test").count == 3
