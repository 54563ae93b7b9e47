"""dreammake: make for LLM workflows. From Python: `from dreammake import Dreamfile, build, plan`."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Build", "Dreamfile", "DreammakeError", "Plan", "PlannedTarget", "build", "plan"]


def __getattr__(name: str) -> Any:
    """The Python API, imported when it is first used: the command line does without it."""
    if name in __all__:
        return getattr(import_module("dreammake.python_api"), name)
    raise AttributeError(f"module 'dreammake' has no attribute '{name}'")
