"""Every recipe of the cookbook builds as it stands on its page, and a second build has nothing to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.project import REPOSITORY, Project

PAGES = sorted(page for page in (REPOSITORY / "docs/cookbook").glob("*.md") if page.name != "index.md")
BLOCK = re.compile(r"^```(dreamfile|\w+ title=\"(.+?)\")\n(.*?)^```", re.S | re.M)


def project_of(page: Path, folder: Path) -> Project:
    """The files that a page shows: its Dreamfile, and those under a title."""
    project = Project(folder)
    for kind, title, text in BLOCK.findall(page.read_text()):
        project.file("Dreamfile" if kind == "dreamfile" else title, text)
    return project


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_recipe_is_one_dreamfile_and_listed(page: Path) -> None:
    assert page.read_text().count("```dreamfile\n") == 1
    assert f"({page.name})" in (page.parent / "index.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_recipe_builds(page: Path, tmp_path: Path) -> None:
    project = project_of(page, tmp_path)
    planned = set(project.plan("all"))
    assert set(project.built("all")) == planned
    assert project.built("all") == []
