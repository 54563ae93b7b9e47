"""Where the tools are: peers each get a virtual environment below `build/bench-envs`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENTS = Path(__file__).parents[1] / "build" / "bench-envs"
_PACKAGES = {"doit": "doit==0.37.0", "snakemake": "snakemake==9.27.1", "ninja": "ninja"}


def command_of(tool: str) -> list[str] | None:
    """The command that starts a tool, installed if need be; None where it cannot be had."""
    if tool == "dreammake":
        beside = Path(sys.executable).with_name("dreammake")
        return [str(beside)] if beside.exists() else [sys.executable, "-m", "dreammake"]
    installed = shutil.which(tool) if tool in ("make", "ninja") else None
    if installed:
        return [installed]
    return _installed(tool) if tool in _PACKAGES else None


def _installed(tool: str) -> list[str] | None:
    folder = ENVIRONMENTS / tool
    program = folder / "bin" / tool
    if not program.exists():
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", _PACKAGES[tool]]
        if subprocess.run(pip, check=False).returncode:
            return None
    return [str(program)]


def python_with(name: str, packages: Sequence[str]) -> str | None:
    """A Python that has these packages, in an environment of its own; None where they cannot be had."""
    python = ENVIRONMENTS / name / "bin" / "python"
    ready = ENVIRONMENTS / name / "ready"
    if not ready.exists():
        venv.create(ENVIRONMENTS / name, with_pip=True)
        if subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=False).returncode:
            return None
        ready.touch()
    return str(python)


def version_of(tool: str) -> str:
    """What a tool says its version is, on one line."""
    command = command_of(tool)
    if command is None:
        return f"{tool}: not here"
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
    first = next(iter(said.strip().splitlines()), "?")
    return first if tool in first.lower() else f"{tool} {first}"
