"""`diff`: the build before against this one, by row."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import LoopbackHub
from tests.support.project import Project
from tests.support.publishing import Publisher

SCORED = """
rule all:
    output: "data/scored"
    load: "raw.csv"
    map score: len(text) / 2
"""


def table(*rows: str) -> str:
    return "id,text\n" + "".join(f"{row}\n" for row in rows)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path).write(SCORED)
    made.file("raw.csv", table("1,cats", "2,dogs", "3,newts", "4,owls"))
    made.ok()
    return made


def rebuilt(project: Project, *rows: str) -> dict[str, Any]:
    project.file("raw.csv", table(*rows))
    project.ok()
    return dict(project.ok("diff", "data/scored", "--json").document)


def test_rows_added_dropped_and_changed_with_the_deltas_of_numbers(project: Project) -> None:
    found = rebuilt(project, "4,owls", "1,cats", "3,salamanders", "5,bees")
    assert (found["added"], found["dropped"], found["changed"], found["rows"]["unchanged"]) == (1, 1, 1, 2)
    assert found["matched_by"] == ["id"] and found["reordered"] is True
    assert found["added_rows"] == [{"row": 3, "values": {"id": 5, "text": "bees", "score": 2.0}}]
    assert found["dropped_rows"] == [{"row": 1, "values": {"id": 2, "text": "dogs", "score": 2.0}}]
    assert found["changed_rows"] == [
        {
            "row": 2,
            "row_before": 2,
            "key": {"id": 3},
            "cells": {"text": {"old": "newts", "new": "salamanders"}, "score": {"old": 2.5, "new": 5.5}},
        }
    ]
    means = {column["name"]: (column["before"], column["now"]) for column in found["columns"]}
    assert means == {"id": (2.5, 3.25), "text": (None, None), "score": (2.125, 2.875)}
    assert [reason["where"] for reason in found["reasons"]] == ["raw.csv"]


def test_a_diff_in_words(project: Project) -> None:
    project.edit("/ 2", "/ 4")
    rebuilt(project, "1,cats", "3,newts", "4,owls", "5,bees")
    assert project.ok("diff", "data/scored").out == textwrap.dedent("""\
        data/scored: 1 added, 1 dropped, 3 changed
          map score: len(text) / 2 -> len(text) / 4
          raw.csv changed
          id: mean 2.5 -> 3.25 (+0.75)
          score: 3 rows changed, mean 2.125 -> 1.0625 (-1.06)
          rows that changed are told by id
        ~ row 0  id: 1
            score: 2.0 -> 1.0 (-1)
        ~ row 1, was 2  id: 3
            score: 2.5 -> 1.25 (-1.25)
        ~ row 2, was 3  id: 4
            score: 2.0 -> 1.0 (-1)
        - row 1  id: 2  text: dogs  score: 2.0
        + row 3  id: 5  text: bees  score: 1.0
        """)


def test_only_the_order_changed(project: Project) -> None:
    found = rebuilt(project, "4,owls", "3,newts", "2,dogs", "1,cats")
    assert (found["added"], found["dropped"], found["changed"], found["reordered"]) == (0, 0, 0, True)
    assert project.ok("diff", "data/scored").out.startswith("data/scored: the order of rows changed, 4 rows the same\n")


def test_columns_that_came_and_went(project: Project) -> None:
    project.edit("map score", "map points")
    found = rebuilt(project, "1,cats", "2,dogs", "3,newts", "4,owls")
    assert (found["columns_added"], found["columns_dropped"], found["changed"]) == (["points"], ["score"], 0)
    out = project.ok("diff", "data/scored").out
    assert "  + column points\n  - column score\n" in out


def test_the_last_version_that_held_something_else_is_kept(project: Project) -> None:
    rebuilt(project, "1,cats")
    project.ok("--force")
    assert project.ok("diff", "data/scored", "--json").document["dropped"] == 3
    found = rebuilt(project, "1,cats", "2,dogs")
    assert (found["dropped"], found["added"]) == (0, 1)
    assert len(list((project.root / ".dreammake/previous").iterdir())) == 1


def test_a_key_says_which_rows_are_one(project: Project) -> None:
    found = rebuilt(project, "1,dogs", "2,cats", "3,newts", "4,owls")
    assert found["matched_by"] == ["id"]
    keyed = project.ok("diff", "data/scored", "--key", "text", "--json").document
    assert keyed["matched_by"] == ["text"]
    assert [row["cells"] for row in keyed["changed_rows"]] == [
        {"id": {"old": 1, "new": 2}},
        {"id": {"old": 2, "new": 1}},
    ]
    result = project.run("diff", "data/scored", "--key", "txt")
    assert "error[unknown-column]" in result.err and "did you mean `text`?" in result.err


def test_rows_without_a_key_are_told_by_the_columns_that_did_not_change(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        rule all:
            output: "a"
            rows: [{"p": [1], "q": "x"}, {"p": [2], "q": "x"}, {"p": [3], "q": "x"}]
        """)
    project.ok()
    project.edit('[2], "q": "x"', '[2], "q": "y"')
    project.edit('[3], "q": "x"', '[3], "q": "y"')
    project.ok()
    found = project.ok("diff", "a", "--json").document
    assert (found["matched_by"], found["changed"], found["rows"]["unchanged"]) == (["p"], 2, 1)


def test_rows_that_have_nothing_in_common_are_not_one_row(project: Project) -> None:
    found = rebuilt(project, "1,cats", "2,dogs", "3,newts", "9,salamanders")
    assert (found["added"], found["dropped"], found["changed"]) == (1, 1, 0)


def test_another_folder_to_compare_with(project: Project, tmp_path: Path) -> None:
    (tmp_path / "data/scored").rename(tmp_path / "theirs")
    project.file("raw.csv", table("1,cats"))
    project.ok()
    assert project.ok("diff", "data/scored", "--with", "theirs", "--json").document["dropped"] == 3


def test_what_was_published_to_compare_with(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        rule numbers:
            output: "data/numbers"
            rows: [{"id": 1, "n": 1}, {"id": 2, "n": 2}, {"id": 3, "n": 3}, {"id": 4, "n": 4}]

        rule parts:
            input: "data/numbers"
            output:
                train: "data/train"
                eval: "data/eval"
            split:
                train: 3
                eval: 1
                shuffle: False
            publish: "me/parts"
        """)
    with LoopbackHub() as hub:
        publisher = Publisher(project, hub)
        publisher.ok("data/train")
        project.edit('"id": 2, "n": 2', '"id": 2, "n": 7')
        project.edit('"id": 4, "n": 4', '"id": 5, "n": 4')
        project.ok("data/train")
        train = project.ok("diff", "data/train", "--with", "hf://me/parts", "--json", **publisher.environment).document
        assert [row["cells"] for row in train["changed_rows"]] == [{"n": {"old": 2, "new": 7}}]
        assert (train["rows"]["unchanged"], train["added"], train["dropped"]) == (2, 0, 0)
        assert train["reasons"] == [], "what was published has no card of a build"
        parts = project.ok("diff", "data/eval", "--with", "hf://me/parts@main", "--json", **publisher.environment)
        assert parts.document["changed_rows"][0]["cells"] == {"id": {"old": 4, "new": 5}}
        for where, message in (("hf://me/nothing", "does not exist"), ("hf://me/parts@v9", "has no such revision")):
            missing = project.run("diff", "data/train", "--with", where, **publisher.environment)
            assert missing.code == 1 and f"error[unreachable-source]: {where[:10]}" in missing.err
            assert message in missing.err


def test_clean_removes_what_was_kept(project: Project) -> None:
    rebuilt(project, "1,cats")
    project.ok("clean")
    assert list((project.root / ".dreammake/previous").iterdir()) == []
    project.ok()
    assert "error[no-build-before]" in project.run("diff", "data/scored").err


def test_what_cannot_be_compared(project: Project) -> None:
    for words, code in (
        (("diff", "data/scored"), "no-build-before"),
        (("diff", "data/scorde"), "unknown-target"),
        (("diff", "data/scored", "--with", "nowhere"), "no-such-dataset"),
        (("diff", "raw.csv"), "wrong-kind"),
    ):
        result = project.run(*words)
        assert result.code == 2 and f"error[{code}]" in result.err
    project.ok("clean")
    assert "error[not-built]" in project.run("diff", "data/scored").err


def test_a_file_and_a_model_are_not_kept(tmp_path: Path) -> None:
    project = Project(tmp_path).write('rule all:\n    output: "a.txt"\n    shell: "echo 1 > {output}"\n')
    project.ok()
    project.edit("echo 1", "echo 2")
    project.ok()
    assert not (tmp_path / ".dreammake/previous").exists()
