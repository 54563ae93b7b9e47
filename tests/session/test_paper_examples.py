"""The paper's five examples: each builds on small models, is shorter than the paper's Python, and is in the docs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.project import REPOSITORY, Project

EXAMPLES = sorted((REPOSITORY / "examples/paper").glob("*/Dreamfile"))
PAGE = (REPOSITORY / "docs/paper.md").read_text()
each = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)


def test_there_are_five() -> None:
    assert [example.parent.name[0] for example in EXAMPLES] == list("12345")


@each
def test_it_is_shorter_than_the_papers_python(example: Path) -> None:
    theirs = example.with_name("datadreamer.py").read_text()
    ours = example.read_text()
    assert ours.count("\n") < theirs.count("\n")
    assert len(ours) < len(theirs)


@each
def test_the_docs_show_both_as_they_are_and_their_lengths(example: Path) -> None:
    for language, file in (("dreamfile", example), ("python", example.with_name("datadreamer.py"))):
        text = file.read_text()
        assert f"```{language}\n{text}```" in PAGE
        counts = [str(text.count("\n")), str(len(text.encode())), f"{file.parent.name}/{file.name}"]
        assert counts in [line.split() for line in PAGE.splitlines()]


@pytest.mark.slow
@each
def test_it_builds_small(example: Path, tmp_path: Path) -> None:
    shutil.copytree(example.parent, tmp_path, dirs_exist_ok=True)
    project = Project(tmp_path)
    planned = set(project.plan("all", "--configfile", "small.yaml"))
    assert set(project.built("all", "--configfile", "small.yaml")) == planned
    assert project.built("all", "--configfile", "small.yaml") == []
