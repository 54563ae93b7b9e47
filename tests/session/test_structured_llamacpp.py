"""Structured answers and long prompts with the real embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.slow

DREAMFILE = """
    model small: "smollm2"
        engine: "llamacpp"
        n_ctx: 256
        max_tokens: 60
        temperature: 0

    rule facts:
        output: "data/facts"
        rows: [{"animal": "dog"}, {"animal": "eagle"}, {"animal": "cat " * 600}]
        prompt fact:
            model: small
            prompt: "Is this an animal that flies? Answer in JSON. {{ animal }}"
            schema: {"flies": one_of("yes", "no"), "legs": int}
            on_error: "null"
"""


def test_llamacpp_answers_by_the_schema_and_tells_what_is_too_long(tmp_path: Path) -> None:
    project = Project(tmp_path).write(DREAMFILE)
    project.ok()
    rows = project.rows("data/facts")
    assert {row["flies"] for row in rows[:2]} <= {"yes", "no"}
    assert all(isinstance(row["legs"], int) for row in rows[:2])
    assert rows[2]["flies"] is None
    [error] = project.ok("show", "data/facts", "--errors", "--json").document["errors"]
    assert (error["row"], error["code"]) == (2, "context-overflow")

    project.edit('on_error: "null"', "truncate: True")
    project.ok()
    assert project.rows("data/facts")[2]["flies"] in ("yes", "no")
