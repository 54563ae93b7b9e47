"""The layers of the package, and what is loaded at start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "datasets", "trl", "peft", "pyarrow", "aiohttp", "litellm", "jinja2", "numpy")


def test_imports_go_down_only() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    linted = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_no_module_imports_a_heavy_library_at_its_top() -> None:
    program = f"""
import importlib, pkgutil, sys
import dreammake.core
import dreammake
for module in pkgutil.walk_packages(dreammake.__path__, "dreammake."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        loaded = sorted(set({HEAVY!r}) & set(sys.modules))
        assert not loaded, f"{{module.name}} imports {{loaded}}"
"""
    imported = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert imported.returncode == 0, imported.stderr
