"""The steps that choose, order and combine rows, each against the same thing in plain Python."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.job import Put
from dreammake.core.options import Wrong
from dreammake.core.rows import Rows, from_dicts
from dreammake.steps import _order
from dreammake.steps.concat import Concat
from dreammake.steps.drop import Drop
from dreammake.steps.explode import Explode
from dreammake.steps.join import Join
from dreammake.steps.rename import Rename
from dreammake.steps.reverse import Reverse
from dreammake.steps.rows import InlineRows
from dreammake.steps.sample import Sample
from dreammake.steps.select import Select
from dreammake.steps.shard import Shard
from dreammake.steps.shuffle import Shuffle
from dreammake.steps.skip import Skip
from dreammake.steps.split import Split, part_sizes
from dreammake.steps.take import Take
from tests.support.work import TestWork, apply, result, written

fast = settings(max_examples=40, deadline=None)


@pytest.fixture
def work(tmp_path: Path) -> TestWork:
    return TestWork(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> TestWork:
    return TestWork(tmp_path_factory.mktemp("project"))


def numbers(count: int, size: int = 1000) -> Rows:
    """The rows {"n": 0}, {"n": 1}, … in batches of `size`, their number not known."""

    def batches() -> Iterator[pa.RecordBatch]:
        for at in range(0, count, size):
            yield pa.record_batch([pa.array(range(at, min(at + size, count)), pa.int64())], names=["n"])

    return Rows(("n",), batches)


def ns(rows: list[dict[str, Any]]) -> list[int]:
    return [row["n"] for row in rows]


def wrong(step: Any, values: dict[str, Any], have: tuple[str, ...] | None, work: Any) -> Wrong:
    with pytest.raises(Wrong) as error:
        step.columns(step.Options(values), None, have, work)
    return error.value


def failing(step: Any, values: dict[str, Any], rows: Any, work: Any) -> Any:
    with pytest.raises(DreamError) as error:
        made = result(step, values, rows, work)
        for one in made.values() if isinstance(made, dict) else [made]:
            written(one, work)
    return error.value.diagnostics[0]


def test_rows_have_the_columns_of_all(work: TestWork) -> None:
    given = [{"a": 1}, {"b": "x", "a": None}]
    assert apply(InlineRows, {"rows": given}, [], work) == [{"a": 1, "b": None}, {"a": None, "b": "x"}]
    assert "not a list of 1" in wrong(InlineRows, {"rows": [[1]]}, None, work).message


def test_select_drop_and_rename(work: TestWork) -> None:
    rows = [{"a": 1, "b": 2, "c": 3}]
    assert [*apply(Select, {"columns": ["c", "a"]}, rows, work)[0].items()] == [("c", 3), ("a", 1)]
    assert apply(Drop, {"columns": "b"}, rows, work) == [{"a": 1, "c": 3}]
    swapped = apply(Rename, {"names": {"a": "b", "b": "a"}}, rows, work)
    assert [*swapped[0].items()] == [("b", 1), ("a", 2), ("c", 3)]
    assert Select.columns(Select.Options({"columns": ["a"]}), None, None, work) == ("a",)
    assert Rename.columns(Rename.Options({"names": {"a": "b"}}), None, None, work) is None


def test_wrong_columns_are_found_before_anything_runs(work: TestWork) -> None:
    have = ("question", "answer")
    for step, values in (
        (Select, {"columns": ["qestion"]}),
        (Drop, {"columns": ["qestion"]}),
        (Rename, {"names": {"qestion": "q"}}),
        (Explode, {"column": ["qestion"]}),
    ):
        error = wrong(step, values, have, work)
        assert (error.code, error.hint) == ("unknown-column", "did you mean `question`?")
    assert wrong(Rename, {"names": {"question": "answer"}}, have, work).code == "duplicate-column"
    assert wrong(Select, {"columns": ["answer", "answer"]}, have, work).code == "duplicate-column"
    assert wrong(Drop, {"columns": list(have)}, have, work).code == "no-columns"
    assert wrong(Shard, {"index": 4, "of": 4}, have, work).code == "out-of-range"
    assert wrong(Split, {"parts": {"a": 0.7, "b": 0.4}}, have, work).code == "out-of-range"
    assert wrong(Split, {"parts": {"a": "x"}}, have, work).code == "wrong-type"
    assert wrong(Split, {"parts": {}}, have, work).code == "missing-option"


@fast
@given(count=st.integers(0, 40), size=st.integers(1, 9), some=st.integers(0, 50))
def test_take_and_skip_are_slices(shared: TestWork, count: int, size: int, some: int) -> None:
    whole = list(range(count))
    assert ns(apply(Take, {"count": some}, numbers(count, size), shared)) == whole[:some]
    assert ns(apply(Skip, {"count": some}, numbers(count, size), shared)) == whole[some:]


def test_take_reads_no_further(work: TestWork) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from numbers(3, 3).batches()
        raise AssertionError("read too far")

    assert ns(apply(Take, {"count": 3}, Rows(("n",), batches), work)) == [0, 1, 2]


@fast
@given(count=st.integers(0, 60), size=st.integers(1, 9), of=st.integers(1, 7), contiguous=st.booleans())
def test_shards_are_the_whole_and_differ_by_one_at_most(
    shared: TestWork, count: int, size: int, of: int, contiguous: bool
) -> None:
    shards = [
        ns(apply(Shard, {"index": i, "of": of, "contiguous": contiguous}, numbers(count, size), shared))
        for i in range(of)
    ]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    if contiguous:
        assert [n for shard in shards for n in shard] == list(range(count))
    else:
        assert shards == [list(range(i, count, of)) for i in range(of)]


def test_shards_are_those_of_datasets(work: TestWork) -> None:
    import datasets

    whole = datasets.Dataset.from_dict({"n": list(range(11))})
    for contiguous in (True, False):
        for index in range(4):
            values = {"index": index, "of": 4, "contiguous": contiguous}
            theirs = whole.shard(num_shards=4, index=index, contiguous=contiguous)["n"]
            assert ns(apply(Shard, values, numbers(11, 3), work)) == list(theirs)


@fast
@given(count=st.integers(0, 60), size=st.integers(1, 9), seed=st.integers(0, 5))
def test_shuffle_depends_on_seed_and_count_only(shared: TestWork, count: int, size: int, seed: int) -> None:
    made = ns(apply(Shuffle, {"seed": seed}, numbers(count, size), shared))
    assert sorted(made) == list(range(count))
    assert made == ns(apply(Shuffle, {"seed": seed}, numbers(count, 1000), shared))


@pytest.mark.parametrize("window_bytes", [64 << 20, 0])
def test_a_shuffle_is_large_and_stays_the_same(
    work: TestWork, window_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_order, "_WINDOW_BYTES", window_bytes)
    made = ns(apply(Shuffle, {}, numbers(30_500), work))
    expected = list(range(30_500))
    random.Random(0).shuffle(expected)
    assert made == expected
    assert ns(apply(Reverse, {}, numbers(30_500, 999), work)) == list(range(30_499, -1, -1))


@fast
@given(count=st.integers(0, 60), size=st.integers(1, 9), some=st.one_of(st.integers(0, 70), st.floats(0, 1)))
def test_a_sample_is_ascending_and_as_large_as_asked(shared: TestWork, count: int, size: int, some: Any) -> None:
    made = ns(apply(Sample, {"size": some}, numbers(count, size), shared))
    assert made == sorted(set(made))
    assert set(made) <= set(range(count))
    assert len(made) == (round(count * some) if isinstance(some, float) else min(some, count))
    assert made == ns(apply(Sample, {"size": some}, numbers(count), shared))


@given(total=st.integers(0, 10_000), shares=st.lists(st.integers(0, 100), min_size=1, max_size=5))
def test_parts_are_rounded_to_the_whole(total: int, shares: list[int]) -> None:
    whole = max(100, sum(shares))
    parts = [round(share / whole, 6) for share in shares]
    if sum(parts) > 1:
        parts[parts.index(max(parts))] -= sum(parts) - 1
        parts = [round(part, 9) for part in parts]
    sizes = part_sizes(total, parts)
    assert sum(sizes) == round(total * sum(map(_exact, parts)))
    assert all(abs(size - part * total) < 1 for size, part in zip(sizes, parts, strict=True))


def _exact(part: float) -> Any:
    from fractions import Fraction

    return Fraction(repr(part))


def test_sizes_of_parts() -> None:
    assert part_sizes(1000, [0.9, 0.1]) == [900, 100]
    assert part_sizes(10, [0.7, 0.2, 0.1]) == [7, 2, 1]
    assert part_sizes(5, [0.9, 0.1]) == [4, 1]
    assert part_sizes(10, [3, 0.5]) == [3, 5]
    assert part_sizes(3, [0.1, 0.1]) == [1, 0]


@fast
@given(
    count=st.integers(0, 80),
    size=st.integers(1, 9),
    parts=st.sampled_from([{"a": 0.9, "b": 0.1}, {"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 0.3, "b": 0.3}, {"a": 1.0}]),
    shuffle=st.booleans(),
)
def test_parts_share_no_row(shared: TestWork, count: int, size: int, parts: Any, shuffle: bool) -> None:
    made = result(Split, {"parts": parts, "shuffle": shuffle, "seed": 3}, numbers(count, size), shared)
    groups = {name: ns(written(rows, shared)) for name, rows in made.items()}
    assert list(groups) == list(parts)
    together = [n for group in groups.values() for n in group]
    assert len(set(together)) == len(together) == round(sum(map(_exact, parts.values())) * count)
    if not shuffle:
        assert together == list(range(len(together)))


@fast
@given(
    labels=st.lists(st.sampled_from(["x", "y", None]), max_size=80),
    parts=st.sampled_from([{"a": 0.8, "b": 0.2}, {"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 0.5, "b": 0.25}]),
)
def test_a_stratified_part_has_its_share_of_every_label(shared: TestWork, labels: list[Any], parts: Any) -> None:
    rows = [{"n": n, "label": label} for n, label in enumerate(labels)]
    made = result(Split, {"parts": parts, "stratify": "label"}, from_dicts(("n", "label"), rows), shared)
    groups = {name: written(part, shared) for name, part in made.items()}
    assert [len(group) for group in groups.values()] == part_sizes(len(rows), list(parts.values()))
    assert len({row["n"] for group in groups.values() for row in group}) == sum(map(len, groups.values()))
    for name, share in parts.items():
        for label in set(labels):
            have = sum(row["label"] == label for row in groups[name])
            assert abs(have - share * labels.count(label)) < 2.5


def test_split_errors(work: TestWork) -> None:
    assert failing(Split, {"parts": {"a": 5, "b": 6}}, numbers(10), work).code == "too-few-rows"
    named = TestWork(work.project, outputs=[Put("train", "data/train"), Put("eval", "data/eval")])
    found = failing(Split, {"parts": {"trian": 0.5, "eval": 0.5}}, numbers(10), named)
    assert (found.code, found.hint) == ("no-such-output", "did you mean `train`?")


def test_concat_unites_columns(work: TestWork) -> None:
    other = work.dataset("data/b", [{"b": 2, "n": 1.5}])
    third = work.dataset("data/c", [{"n": 9}])
    made = apply(Concat, {"inputs": [other, third]}, [{"n": 1}], work)
    assert made == [{"n": 1.0, "b": None}, {"n": 1.5, "b": 2}, {"n": 9.0, "b": None}]
    text = work.dataset("data/text", [{"n": "x"}])
    assert failing(Concat, {"inputs": text}, [{"n": 1}], work).code == "mixed-types"


def test_explode(work: TestWork) -> None:
    rows = [{"n": 1, "t": ["a", "b"]}, {"n": 2, "t": []}, {"n": 3, "t": None}, {"n": 4, "t": [None]}]
    kept = [{"n": 1, "t": "a"}, {"n": 1, "t": "b"}, {"n": 4, "t": None}]
    assert apply(Explode, {"column": "t"}, rows, work) == kept
    made = apply(Explode, {"column": "t", "keep_empty": True}, rows, work)
    assert made == [*kept[:2], {"n": 2, "t": None}, {"n": 3, "t": None}, kept[2]]
    dicts = [{"t": [{"x": 1}, {"x": 2}]}]
    assert apply(Explode, {"column": "t"}, dicts, work) == [{"t": {"x": 1}}, {"t": {"x": 2}}]
    found = failing(Explode, {"column": "t"}, [{"t": "text"}], work)
    assert (found.code, found.message) == ("not-a-list", "the column `t` holds text, not lists")


sides = st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=15)


@fast
@given(left=sides, right=sides, how=st.sampled_from(["inner", "left", "right", "outer"]), size=st.integers(1, 6))
def test_join_is_that_of_sql(shared: TestWork, left: list[Any], right: list[Any], how: str, size: int) -> None:
    mine = [{"id": key, "v": f"l{n}"} for n, key in enumerate(left)]
    theirs = [{"v": f"r{n}", "id": key, "w": n} for n, key in enumerate(right)]
    path = shared.dataset(str(shared.folder().relative_to(shared.project)), theirs, ("v", "id", "w"))

    def batches() -> Iterator[pa.RecordBatch]:
        for at in range(0, len(mine), size):
            yield from from_dicts(("id", "v"), mine[at : at + size]).batches()

    made = apply(Join, {"other": path, "on": "id", "how": how}, Rows(("id", "v"), batches), shared)
    assert made == _sql(mine, theirs, how)


def _sql(left: list[dict[str, Any]], right: list[dict[str, Any]], how: str) -> list[dict[str, Any]]:
    made, met = [], set()
    for row in left:
        found = [n for n, other in enumerate(right) if other["id"] == row["id"] is not None]
        met.update(found)
        made.extend({**row, "v_right": right[n]["v"], "w": right[n]["w"]} for n in found)
        if not found and how in ("left", "outer"):
            made.append({**row, "v_right": None, "w": None})
    if how in ("right", "outer"):
        rest = [other for n, other in enumerate(right) if n not in met]
        made.extend({"id": o["id"], "v": None, "v_right": o["v"], "w": o["w"]} for o in rest)
    return made


def test_join_by_two_columns_and_its_errors(work: TestWork) -> None:
    path = work.dataset("data/o", [{"a": 1, "b": "x", "c": 1}, {"a": 1, "b": "y", "c": 2}])
    rows = [{"a": 1, "b": "y"}, {"a": 2, "b": "x"}]
    assert apply(Join, {"other": path, "on": ["a", "b"]}, rows, work) == [{"a": 1, "b": "y", "c": 2}]
    assert failing(Join, {"other": path, "on": "a"}, [{"a": "1"}], work).code == "mixed-types"
    values = {"other": path, "on": ["c"], "how": "inner", "suffix": ""}
    assert wrong(Join, values, ("a", "b"), work).code == "unknown-column"
    assert wrong(Join, {**values, "on": ["a"]}, ("a", "b"), work).code == "duplicate-column"
