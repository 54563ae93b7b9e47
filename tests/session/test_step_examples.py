"""The example on the page of a step that asks a model is a Dreamfile that builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreammake.core.catalog import Catalog
from tests.support.project import Project

CATALOG = Catalog()
ASKING = [name for name in CATALOG.names("steps") if "model" in CATALOG.find("steps", name).Options.declared()]


@pytest.mark.parametrize("name", ASKING)
def test_it_builds_and_a_second_build_does_nothing(tmp_path: Path, name: str) -> None:
    project = Project(tmp_path).write(CATALOG.find("steps", name).example)
    assert name in (tmp_path / "Dreamfile").read_text()
    assert project.built()
    assert project.built() == []
    for target in project.plan():
        rows = project.rows(target)
        assert rows and all(value is not None for row in rows for value in row.values())
