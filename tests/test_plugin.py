"""The plug-in of examples/plugin: installed as a user would, its step, engine and executor are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import REPOSITORY

PLUGIN = REPOSITORY / "examples/plugin"


@pytest.mark.slow
def test_a_plug_in_adds_a_step_an_engine_and_an_executor(tmp_path: Path) -> None:
    source, site, project = tmp_path / "source", tmp_path / "site", tmp_path / "project"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("data", ".dreammake"))
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(source)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    project.mkdir()
    shutil.copy(source / "Dreamfile", project)

    def run(*words: str, path: str = str(site)) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": path}
        command = [sys.executable, "-m", "dreammake", *words]
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    built = run("all", "--executor", "careful")
    assert built.returncode == 0, built.stderr
    assert "careful: data/people begins" in built.stdout
    shown = run("show", "data/people").stdout
    assert "A.M.T." in shown
    assert "ADA LOVELACE!" in shown
    assert "up to date" in run("all").stdout
    assert "first letters" in run("help", "initials").stdout
    (project / "Dreamfile").write_text((project / "Dreamfile").read_text().replace("{{ name }}", "{{ nmae }}", 1))
    wrong = run("--dry-run")
    assert wrong.returncode == 2
    assert "did you mean `name`?" in wrong.stderr
    without = run("help", "initials", path=str(REPOSITORY))
    assert without.returncode == 2
