"""The wheel holds all that a run needs, the grammar too, and works where no checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_works_elsewhere(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "wheel"), str(REPOSITORY)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "wheel").glob("dreammake_llm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    project = tmp_path / "project"
    project.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    probe = "import dreammake, dreammake.lang.grammar as g; print(dreammake.__file__); print(g._read_grammar())"
    said = run(sys.executable, "-c", probe)
    assert str(tmp_path / "site") in said
    assert "block" in said
    (project / "Dreamfile").write_text('rule a:\n    output: "data/a"\n    rows: [{"n": 1}]\n    map m: n + 1\n')
    assert "1 built" in run(sys.executable, "-m", "dreammake")
    assert "all is up to date" in run(sys.executable, "-m", "dreammake")
