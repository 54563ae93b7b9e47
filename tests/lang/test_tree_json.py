from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from dreammake.lang.tree_json import from_json, to_json
from tests.lang.reading import expression
from tests.lang.test_parser import PYTHON, RIGHT


@settings(max_examples=200, deadline=None)
@given(RIGHT)
def test_a_tree_survives_json(text: str) -> None:
    check_round_trip(text)


@pytest.mark.parametrize("text", [*PYTHON, 'f"{a!r:>{b}} c"', "f(b=1, a=2, **c)", "{'a': [1, None, True, 1.0]}"])
def test_every_kind_of_node_survives(text: str) -> None:
    check_round_trip(text)


def check_round_trip(text: str) -> None:
    data = to_json(expression(text))
    assert to_json(from_json(json.loads(json.dumps(data)), text)) == data


def test_places_are_the_whole_text() -> None:
    assert from_json(["name", "x"], "x + 1").span.text == "x + 1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(a + b)", "a  +  b"),
        ("'x'", '"""x"""'),
        ("[a, b,]", "[\na, # comment\nb]"),
        ("f(x=1, y=2)", "f(y=2, x=1)"),
        ("'\\x41'", "'A'"),
        ("(a or b) or c", "((a or b) or c)"),
        ("0x10", "16"),
    ],
)
def test_equal_meaning_is_equal_json(one: str, other: str) -> None:
    assert to_json(expression(one)) == to_json(expression(other))


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("1", "True"), ("(a < b) < c", "a < b < c"), ("a", "'a'")])
def test_other_meaning_is_other_json(one: str, other: str) -> None:
    assert json.dumps(to_json(expression(one))) != json.dumps(to_json(expression(other)))
