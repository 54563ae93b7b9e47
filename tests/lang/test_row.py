from __future__ import annotations

from typing import Any

import pytest

from dreammake.core.values import RowExpression, from_json, to_json
from dreammake.lang.row import RowError, RowFunction, compile_row
from dreammake.lang.tree_json import to_json as tree_to_json
from tests.lang.reading import expression


def row(text: str, columns: list[str], **captured: Any) -> RowFunction:
    made = RowExpression(tree_to_json(expression(text)), text, captured)
    return compile_row(from_json(to_json(made)), columns)


def test_only_the_columns_that_are_read_are_wanted() -> None:
    function = row("a if winner == 'A' else b", ["id", "b", "winner", "a"])
    assert function.columns == ("b", "winner", "a")
    assert function.map([["b1", "b2"], ["A", "B"], ["a1", "a2"]]) == ["a1", "b2"]


@pytest.mark.parametrize(
    ("text", "lists", "made"),
    [
        ("len(text) <= 3", [["a", "abcd"]], [True, False]),
        ("text.upper() + '!'", [["a"]], ["A!"]),
        ("[x for x in text if x != other]", [["ab"], ["b"]], [["a"]]),
        ("f'{text}-{config.n}-{third}-{other}'", [["a"], ["b"], ["c"]], ["a-3-c-b"]),
        ("config.n", [], [3, 3]),
        ("wildcards.r + len(wildcards)", [], [2, 2]),
    ],
)
def test_values_of_rows(text: str, lists: list[list[Any]], made: list[Any]) -> None:
    function = row(text, ["text", "other", "third"], config={"n": 3}, wildcards={"r": 1})
    assert function.map(lists, 2) == made


def test_a_column_hides_any_other_name() -> None:
    assert row("input + config", ["input", "config"], input={"a": "x"}, config={"n": 1}).map([[1], [2]]) == [3]
    assert row("len(len)", ["len"]).map([["abc"]]) == [3]


def test_an_error_names_the_expression_the_row_and_the_reason() -> None:
    function = row("len(text) <= 280", ["text"])
    with pytest.raises(RowError) as caught:
        function.map([["a", "b", None, "c"]])
    error = caught.value.later(1000)
    assert (caught.value.row, error.row, error.exit_code) == (2, 1002, 1)
    (found,) = error.diagnostics
    assert found.code == "row-error"
    assert found.message == "`len(text) <= 280` fails on row 1002: len takes a text, a list or a dict, not None"


def test_each_row_has_a_budget_of_its_own() -> None:
    function = row("[0 for x in range(n)]", ["n"])
    assert len(function.map([[10_000] * 300])) == 300
    with pytest.raises(RowError, match="row 1: this takes too much work"):
        row("[0 for x in range(n) for y in range(n)]", ["n"]).map([[1, 9999]])
