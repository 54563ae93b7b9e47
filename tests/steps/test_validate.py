"""Quality gates: what is measured, and what is said where a figure is off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.rows import from_dicts
from dreammake.steps.validate import Validate
from tests.support.work import TestWork, apply

ROWS = [
    {"answer": "Salt.", "score": 7, "tags": ["a"]},
    {"answer": "🦦🦦", "score": 9, "tags": []},
    {"answer": None, "score": None, "tags": None},
    {"answer": "Salt.", "score": 7, "tags": ["a"]},
]


@pytest.fixture
def work(tmp_path: Path) -> TestWork:
    return TestWork(tmp_path)


def test_rows_pass_where_all_holds(work: TestWork) -> None:
    options = {
        "rows": {"at_least": 4, "at_most": 4},
        "duplicate_rate": 0.25,
        "null_rate": {"answer": 0.25, "score": 1},
        "length": {"answer": {"at_least": 2, "at_most": 5}, "tags": {"at_most": 1}},
        "mean": {"score": {"at_least": 7.6, "at_most": 7.7}},
    }
    assert apply(Validate, options, ROWS, work) == ROWS
    assert [line.split()[-1] for line in work.log[0].splitlines()] == ["ok"] * 7


@pytest.mark.parametrize(
    ("options", "what", "line"),
    [
        ({"rows": {"at_least": 5}}, "rows", "rows  4  at least 5  off"),
        ({"rows": {"at_most": 3}}, "rows", "rows  4  at most 3  off"),
        ({"duplicate_rate": 0.2}, "duplicate rate", "duplicate rate  0.25 (1 of 4)  at most 0.2  off"),
        (
            {"duplicate_rate": 0.2, "duplicates_by": ["tags"]},
            "duplicate rate",
            "duplicate rate  0.25 (1 of 4)  at most 0.2  off",
        ),
        ({"null_rate": {"score": 0}}, "null rate of `score`", "null rate of `score`  0.25 (1 of 4)  at most 0  off"),
        ({"length": {"answer": {"at_least": 3}}}, "length of `answer`", "length of `answer`  1 off  at least 3  off"),
        ({"length": {"tags": {"at_least": 1}}}, "length of `tags`", "length of `tags`  1 off  at least 1  off"),
        ({"mean": {"score": {"at_least": 8}}}, "mean of `score`", "mean of `score`  7.66667  at least 8  off"),
    ],
)
def test_what_is_off_fails_the_job(work: TestWork, options: dict[str, Any], what: str, line: str) -> None:
    with pytest.raises(DreamError) as error:
        apply(Validate, options, ROWS, work)
    [diagnostic] = error.value.diagnostics
    assert (diagnostic.code, error.value.exit_code) == ("quality-gate", 1)
    assert diagnostic.message.endswith(f": {what}")
    assert diagnostic.notes[0].message == f"what was measured\n{line}"
    assert work.log == [line]


def test_all_figures_are_told_at_once(work: TestWork) -> None:
    options = {"rows": {"at_least": 1}, "duplicate_rate": 0, "mean": {"score": {"at_most": 1}}}
    with pytest.raises(DreamError) as error:
        apply(Validate, options, ROWS, work)
    [diagnostic] = error.value.diagnostics
    assert diagnostic.message == "the rows are not as good as they have to be: duplicate rate and mean of `score`"
    assert diagnostic.notes[0].message.split("\n")[1:] == [
        "rows             4              at least 1  ok",
        "duplicate rate   0.25 (1 of 4)  at most 0   off",
        "mean of `score`  7.66667        at most 1   off",
    ]


def test_no_rows_have_no_mean_and_no_duplicates(work: TestWork) -> None:
    none = from_dicts(("score",), [])
    assert apply(Validate, {"duplicate_rate": 0, "null_rate": {"score": 0}}, none, work) == []
    with pytest.raises(DreamError, match="mean of `score`"):
        apply(Validate, {"mean": {"score": {"at_least": 0}}}, none, work)


def test_what_cannot_be_measured(work: TestWork) -> None:
    for options in ({"length": {"score": {"at_least": 1}}}, {"mean": {"answer": {"at_least": 1}}}):
        with pytest.raises(DreamError, match="unfit-column"):
            apply(Validate, options, ROWS, work)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({}, "missing-option", "nothing to validate"),
        ({"null_rate": {"anser": 0}}, "unknown-column", "have no column `anser`"),
        ({"null_rate": {"answer": 2}}, "out-of-range", "between 0 and 1"),
        ({"length": {"answer": 5}}, "wrong-type", "`length` of `answer` takes `at_least`"),
        ({"length": {"answer": {"atleast": 5}}}, "wrong-type", "`length` of `answer` takes `at_least`"),
        ({"mean": {"score": {"at_least": 5, "at_most": 4}}}, "wrong-type", "nothing can be both"),
        ({"rows": {}}, "wrong-type", "`rows` takes `at_least`"),
    ],
)
def test_options_that_do_not_fit(work: TestWork, options: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(Wrong, match=words) as error:
        apply(Validate, options, ROWS, work)
    assert error.value.code == code
