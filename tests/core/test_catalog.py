"""The catalog meets plug-ins that are not as they should be; what works is in `tests/test_plugin.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import Project

DREAMFILE = """
    rule all:
        output: "data/x"
        rows: [{"a": 1}]
        wave:
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project, and beside it an installed package that says it has a step `wave`."""
    project = Project(tmp_path / "project")
    info = tmp_path / "site" / "surf-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: surf\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dreammake.steps]\nwave = surf:Wave\n")
    project.root.mkdir()
    return project.write(DREAMFILE)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nosuchboard", "ModuleNotFoundError: No module named 'nosuchboard'"),
        ("raise RuntimeError('no sea')", "RuntimeError: no sea"),
        ("Sea = 1", "AttributeError: module 'surf' has no attribute 'Wave'"),
        ("class Wave: pass", "`Wave` declares no Options"),
    ],
)
def test_a_broken_plug_in_is_named_with_its_package(project: Project, code: str, why: str) -> None:
    site = project.root.parent / "site"
    (site / "surf.py").write_text(code + "\n")
    result = project.run("--dry-run", PYTHONPATH=f"{project.environment()['PYTHONPATH']}:{site}")
    assert result.code == 2
    assert f"error[broken-plugin]: the plug-in `wave` cannot be loaded from surf:Wave: {why}" in result.err
    assert "Dreamfile:5:5" in result.err
    assert "help: mend the package surf, or uninstall it" in result.err
    assert "Traceback" not in result.err
    (site / "surf.py").write_text("")
    other = project.write(DREAMFILE.replace("wave:", "take: 1"))
    assert other.run(PYTHONPATH=f"{project.environment()['PYTHONPATH']}:{site}").code == 0, "it is not named here"
