"""The steps that evaluate an expression for each row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.span import Source
from dreammake.core.values import RowExpression
from dreammake.lang.parser import parse_expression
from dreammake.lang.tree_json import to_json
from dreammake.steps.filter import Filter
from dreammake.steps.map import Map
from dreammake.steps.sort import Sort
from dreammake.store.dataset import write_dataset
from tests.support.work import TestWork, apply

ROWS = [{"text": "b", "n": 2}, {"text": "a", "n": None}, {"text": "c", "n": 1}]


@pytest.fixture
def work(tmp_path: Path) -> TestWork:
    return TestWork(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> TestWork:
    return TestWork(tmp_path_factory.mktemp("project"))


def row(text: str, **captured: Any) -> RowExpression:
    return RowExpression(to_json(parse_expression(text, Source("Dreamfile", text))), text, captured)


def test_map_writes_and_replaces(work: TestWork) -> None:
    made = apply(Map, {"expression": row("text.upper()")}, ROWS, work, "loud")
    assert made == [{**one, "loud": one["text"].upper()} for one in ROWS]
    made = apply(Map, {"expression": row("0 if n is None else n * config.k", config={"k": 10})}, ROWS, work, "n")
    assert [*made[0]] == ["text", "n"]
    assert [one["n"] for one in made] == [20, 0, 10]
    assert apply(Map, {"expression": row("1")}, ROWS, work, "one")[2]["one"] == 1


def test_filter_keeps_what_is_true(work: TestWork) -> None:
    assert apply(Filter, {"expression": row("n")}, ROWS, work) == [ROWS[0], ROWS[2]]
    assert apply(Filter, {"expression": row("text in ['a', 'b']")}, ROWS, work) == ROWS[:2]
    assert apply(Filter, {"expression": row("False")}, ROWS, work) == []


def test_an_error_names_the_row(work: TestWork) -> None:
    values = [{"n": i} for i in range(2500)] + [{"n": None}]
    with pytest.raises(DreamError, match="row 2500") as error:
        apply(Map, {"expression": row("n + 1")}, values, work, "m")
    assert (error.value.diagnostics[0].code, error.value.exit_code) == ("row-error", 1)


def test_a_feature_goes_with_the_column_that_is_written_anew(work: TestWork) -> None:
    import datasets

    features = datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"])})
    datasets.Dataset.from_dict({"label": [0, 1]}, features=features).save_to_disk(str(work.path("d")))
    for name, left in (("other", True), ("label", False)):
        made = Map().run(Map.Options({"expression": row("label + 1")}), name, work.open("d"), work)
        write_dataset(made, work.path(name))
        kept = datasets.load_from_disk(str(work.path(name))).features["label"]
        assert isinstance(kept, datasets.ClassLabel) == left


keys = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-9, 9)), max_size=40),
    st.lists(st.one_of(st.none(), st.floats(-2, 2)), max_size=40),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=40),
    st.lists(st.one_of(st.none(), st.booleans()), max_size=40),
)


@settings(max_examples=80, deadline=None)
@given(values=keys, reverse=st.booleans(), text=st.sampled_from(["key", "(key)", "key if key is not None else None"]))
def test_sort_is_stable_and_nulls_are_last(shared: TestWork, values: list[Any], reverse: bool, text: str) -> None:
    rows = [{"key": value, "at": number} for number, value in enumerate(values)]

    def batches() -> Iterator[pa.RecordBatch]:
        for at in range(0, len(rows), 7):
            yield from from_dicts(("key", "at"), rows[at : at + 7]).batches()

    made = apply(Sort, {"by": row(text), "reverse": reverse}, Rows(("key", "at"), batches), shared)
    present = sorted((one for one in rows if one["key"] is not None), key=lambda one: one["key"], reverse=reverse)
    assert made == present + [one for one in rows if one["key"] is None]


def test_sort_by_several_and_by_what_cannot_be_sorted(work: TestWork) -> None:
    made = apply(Sort, {"by": row("[len(text), text]")}, ROWS, work)
    assert [one["text"] for one in made] == ["a", "b", "c"]
    nan = [{"n": float("nan")}, {"n": 1.0}, {"n": None}, {"n": 0.5}]
    assert [one["n"] for one in apply(Sort, {"by": row("n")}, nan, work)][:2] == [0.5, 1.0]
    with pytest.raises(DreamError) as error:
        apply(Sort, {"by": row("[n, text]")}, ROWS, work)
    assert error.value.diagnostics[0].code == "mixed-types"
