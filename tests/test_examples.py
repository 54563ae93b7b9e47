"""The examples plan as they stand, and a dry run leaves nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dreammake.cli.main import main

ROOT = Path(__file__).parents[1]
EXAMPLES = [*sorted((ROOT / "examples").rglob("Dreamfile")), ROOT / "Dreamfile.example"]
EXAMPLES.remove(ROOT / "examples/plugin/Dreamfile")  # it plans where its plug-in is installed: test_plugin.py


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_plans(example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "project"
    shutil.copytree(example.parent, project) if example.name == "Dreamfile" else project.mkdir()
    shutil.copy(example, project / "Dreamfile")
    before = sorted(project.rglob("*"))
    assert main(["-C", str(project), "--dry-run"]) == 0
    assert "to build" in capsys.readouterr().out
    assert sorted(project.rglob("*")) == before
