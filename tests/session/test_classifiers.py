"""Classifiers and embedding models through the command line: mistakes that the plan finds, and a whole build."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.minilm import MINILM, needs_minilm
from tests.support.project import Project

DREAMFILE = """
    rule reviews:
        output: "data/reviews"
        rows: [
            {"review": "A joy from start to end.", "mood": "good"},
            {"review": "I fell asleep.", "mood": "bad"},
            {"review": "Lovely and warm.", "mood": "good"},
            {"review": "Awful, dull and cold.", "mood": "bad"},
            {"review": "What?", "mood": None},
        ]

    rule critic:
        input: "data/reviews"
        output: "models/critic"
        train classifier:
            base: "models/minilm"
            text: "{{ review }}"
            label: "{{ mood }}"
            max_steps: 2
"""


def project_in(folder: Path) -> Project:
    (folder / "models").mkdir()
    (folder / "models/minilm").symlink_to(MINILM)
    return Project(folder).write(DREAMFILE)


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ('label: "{{ mood }}"', "", "missing-option", "does not say what the label of a row is"),
        ('label: "{{ mood }}"', 'label: "{{ mod }}"', "unknown-column", "did you mean `mood`?"),
        ("max_steps: 2", "max_step: 2", "unknown-option", "did you mean `max_steps`?"),
        ("classifier:", "clasifier:", "unknown-method", "did you mean `classifier`?"),
        ("classifier:", "embedder:", "missing-option", "anchor"),
    ],
)
def test_the_plan_finds_mistakes(tmp_path: Path, old: str, new: str, code: str, said: str) -> None:
    project = project_in(tmp_path)
    project.edit(old, new)
    found = project.run("--dry-run", "models/critic")
    assert found.code == 2
    assert f"error[{code}]" in found.err
    assert said in found.err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ('positive: "{{ mood }}"\n        loss: "CoSENTLos"', "wrong-type", "CoSENTLos"),
        ('positive: "{{ mood }}"\n        loss: "CoSENTLoss"', "conflicting-options", "MultipleNegativesRankingLoss"),
        ("", "missing-option", "nothing to compare it with"),
    ],
)
def test_the_plan_knows_which_loss_fits_the_rows(tmp_path: Path, options: str, code: str, said: str) -> None:
    project = project_in(tmp_path)
    project.edit("classifier:", "embedder:")
    project.edit('text: "{{ review }}"', 'anchor: "{{ review }}"')
    project.edit('label: "{{ mood }}"', options)
    found = project.run("--dry-run", "models/critic")
    assert found.code == 2
    assert f"error[{code}]" in found.err
    assert said in found.err


@pytest.mark.slow
@needs_minilm
def test_a_row_without_a_label_stands_in_the_table_of_errors(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    assert project.built("models/critic") == ["data/reviews", "models/critic"]
    (error,) = project.ok("show", "models/critic", "--errors", "--json").document["errors"]
    assert (error["row"], error["step"], error["code"]) == (4, "classifier", "no-label")
    assert project.built("models/critic") == []
    project.edit("max_steps: 2", "max_steps: 2\n        logging_steps: 1")
    assert project.plan("models/critic") == {"data/reviews": "fresh", "models/critic": "fresh"}
