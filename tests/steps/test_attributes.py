"""`generate` with attributes: which combinations there are, and which are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.asking import AskingWork, ProbingWork
from support.server import LoopbackServer, Trouble, prompt_of
from support.work import apply, result, written

from dreammake.core.options import Wrong
from dreammake.core.rows import Rows
from dreammake.core.values import Function, ModelSpec, Template, TypeName
from dreammake.steps._attributes import combinations, space_of
from dreammake.steps.generate import Generate

NewWork = Callable[[], AskingWork]
MODEL = ModelSpec("m", "x")
FLAT = {"topic": ["sea", "hill", "moor"], "tone": ["grave", "light"]}
NESTED = {
    "topic": {
        "sport": {"game": ["chess", "golf"], "level": ["easy", "hard"]},
        "love": {},
        "work": {"trade": ["baker"]},
    },
    "tone": ["grave", "light"],
}
PROMPT = Template("A {{ tone }} text on {{ topic }}.")


@pytest.fixture
def work(tmp_path: Path) -> Iterator[NewWork]:
    """Makes the `Work` of a new run over one project."""
    made: list[AskingWork] = []

    def make() -> AskingWork:
        made.append(AskingWork(tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.asker.close()


def writer(server: LoopbackServer, **options: Any) -> ModelSpec:
    return ModelSpec("writer", "some/model", "api", {"base_url": server.base_url, "retries": 0, **options})


def drawn(**values: Any) -> list[dict[str, Any]]:
    options = Generate.Options({"model": MODEL, "prompt": PROMPT, **values})
    found, count = combinations(options, space_of(options))
    made = list(found)
    assert len(made) == count
    return made


def test_all_combinations_are_rows_with_a_column_for_each_attribute(work: NewWork) -> None:
    with LoopbackServer(lambda body: prompt_of(body).upper()) as server:
        options = {"model": writer(server), "prompt": PROMPT, "attributes": FLAT}
        made = apply(Generate, options, [], work(), "text")
    assert [list(row) for row in made] == [["topic", "tone", "text"]] * 6
    assert [(row["topic"], row["tone"]) for row in made] == list(product(FLAT["topic"], FLAT["tone"]))
    assert made[3]["text"] == "A LIGHT TEXT ON HILL."


def test_nested_attributes_are_null_beside_other_values(work: NewWork) -> None:
    with LoopbackServer() as server:
        prompt = Template("{{ tone }} {{ topic }}{% if game %} with {{ level }} {{ game }}{% endif %}")
        options = {"model": writer(server), "prompt": prompt, "attributes": NESTED}
        doing = work()
        made = apply(Generate, options, [], doing, "text")
        assert list(made[0]) == ["topic", "game", "level", "trade", "tone", "text"]
        assert [tuple(row.values())[:5] for row in made] == [
            ("sport", "chess", "easy", None, "grave"),
            ("sport", "chess", "easy", None, "light"),
            ("sport", "chess", "hard", None, "grave"),
            ("sport", "chess", "hard", None, "light"),
            ("sport", "golf", "easy", None, "grave"),
            ("sport", "golf", "easy", None, "light"),
            ("sport", "golf", "hard", None, "grave"),
            ("sport", "golf", "hard", None, "light"),
            ("love", None, None, None, "grave"),
            ("love", None, None, None, "light"),
            ("work", None, None, "baker", "grave"),
            ("work", None, None, "baker", "light"),
        ]
        assert {"grave sport with easy chess", "light love"} <= set(server.prompts)


@given(st.integers(0, 40), st.integers(0, 5))
def test_no_combination_comes_again_before_all_have_come(count: int, seed: int) -> None:
    made = [tuple(row.items()) for row in drawn(attributes=NESTED, count=count, seed=seed)]
    times = Counter(made)
    assert len(times) == min(count, 12)
    assert not times or max(times.values()) - min(times.values() if len(times) == 12 else [0]) <= 1
    assert made == [tuple(row.items()) for row in drawn(attributes=NESTED, count=50, seed=seed)][:count]


def test_another_seed_draws_others() -> None:
    many = {"a": list(range(1000)), "b": list(range(1000)), "c": list(range(1000)), "d": list(range(1000))}
    first, again, other = (drawn(attributes=many, count=20, seed=seed) for seed in (None, 0, 1))
    assert first == again != other
    assert len({row["a"] for row in first}) > 10


def test_weights_say_how_often_a_value_is_drawn() -> None:
    weights = {"topic": {"love": 0, "work": 3}, "tone": [1, 0], "game": [9, 1]}
    made = drawn(attributes=NESTED, weights=weights, count=4000)
    assert made[:100] == drawn(attributes=NESTED, weights=weights, count=100)
    topics = Counter(row["topic"] for row in made)
    assert set(topics) == {"sport", "work"} and 2.5 < topics["work"] / topics["sport"] < 3.5
    assert {row["tone"] for row in made} == {"grave"}
    games = Counter(row["game"] for row in made if "game" in row)
    assert 6 < games["chess"] / games["golf"] < 13


def test_raising_count_asks_only_for_what_is_new(work: NewWork) -> None:
    with LoopbackServer() as server:
        options = {"model": writer(server), "prompt": PROMPT, "attributes": FLAT}
        few = apply(Generate, options | {"count": 4}, [], work(), "text")
        many = apply(Generate, options | {"count": 9}, [], work(), "text")
        assert (many[:4], server.count) == (few, 9)
        apply(Generate, options, [], work(), "text")
        assert server.count == 9, "the combinations are the same, whatever their order"


def test_a_schema_adds_its_columns_and_failures_have_the_attributes(work: NewWork) -> None:
    trouble = lambda body, number: Trouble(400) if "moor" in prompt_of(body) else None  # noqa: E731
    with LoopbackServer(lambda body: '{"title": "T", "words": 3}', trouble=trouble) as server:
        schema = {"title": TypeName("str"), "words": TypeName("int")}
        options = {"model": writer(server), "prompt": PROMPT, "attributes": FLAT, "schema": schema, "on_error": "skip"}
        doing = work()
        made = apply(Generate, options, [], doing, "raw")
    assert list(made[0]) == ["topic", "tone", "raw", "title", "words"]
    assert len(made) == 4
    assert [(error.row, error.values) for error in doing.errors] == [
        (4, {"topic": "moor", "tone": "grave"}),
        (5, {"topic": "moor", "tone": "light"}),
    ]


def test_no_combination_is_an_empty_dataset_with_the_columns(work: NewWork) -> None:
    with LoopbackServer() as server:
        options = {"model": writer(server), "prompt": PROMPT, "attributes": FLAT, "count": 0}
        doing = work()
        made = result(Generate, options, [], doing, "text")
        assert isinstance(made, Rows)
        assert (made.columns, written(made, doing), server.count) == (("topic", "tone", "text"), [], 0)


LABEL = Function("one_of", ("yes", "no"))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({}, "missing-option", "`count`, or `attributes`"),
        ({"count": 3, "weights": {"topic": [1]}}, "missing-option", "there are none"),
        ({"attributes": FLAT, "weights": {"tone": [1, 2]}}, "conflicting-options", "all combinations"),
        ({"attributes": FLAT, "count": 3, "weights": {"tone": [1]}}, "bad-attributes", "1 numbers for `tone`"),
        ({"attributes": FLAT, "count": 3, "weights": {"tune": [1, 2]}}, "bad-attributes", "`tune`"),
        ({"attributes": FLAT, "count": 3, "weights": {"tone": {"dark": 2}}}, "bad-attributes", '"dark"'),
        ({"attributes": FLAT, "count": 3, "weights": {"tone": [0, 0]}}, "bad-attributes", "above 0"),
        ({"attributes": FLAT, "count": 3, "weights": {"tone": [-1, 1]}}, "bad-attributes", "0 or above"),
        ({"attributes": FLAT, "count": 3, "weights": {"tone": 3}}, "bad-attributes", "has 3 for `tone`"),
        ({"attributes": {"tone": []}}, "bad-attributes", "no list of values"),
        ({"attributes": {}}, "bad-attributes", "no attribute"),
        ({"attributes": {"tone": "light"}}, "bad-attributes", "no list of values"),
        ({"attributes": {"tone": ["light", 3]}}, "bad-attributes", "all texts, or all numbers"),
        ({"attributes": {"tone": [None]}}, "bad-attributes", "all texts, or all numbers"),
        ({"attributes": {"a tone": ["light"]}}, "bad-attributes", "no prompt can read"),
        ({"attributes": {"tone": {"light": 3}}}, "bad-attributes", "weights are told by `weights`"),
        ({"attributes": {"tone": {"light": {"tone": ["x"]}}}}, "bad-attributes", "below itself"),
        ({"attributes": {"tone": {"light": {"topic": ["x"]}}, "topic": ["y"]}}, "bad-attributes", "`topic` twice"),
        ({"attributes": {letter: list(range(50)) for letter in "abcde"}}, "out-of-range", "312,500,000"),
        ({"attributes": FLAT, "schema": {"tone": LABEL}}, "duplicate-column", "`tone`"),
        ({"attributes": {"text": ["a"]}}, "duplicate-column", "`text`"),
    ],
)
def test_attributes_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(Wrong) as raised:
        result(Generate, {"model": MODEL, "prompt": PROMPT, **options}, [], ProbingWork(tmp_path), "text")
    assert raised.value.code == code
    assert words in f"{raised.value.message}; {raised.value.hint}"
