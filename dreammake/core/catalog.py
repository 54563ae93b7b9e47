"""Which steps, engines, trainers and executors there are.

A built-in is found by its file's name, and imported when it is first named; a plug-in by its entry point
(`dreammake.steps`, `dreammake.models`, `dreammake.trainers`, `dreammake.executors`). Nothing lists them twice.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn

from dreammake.core.diagnostic import DreamError, fail
from dreammake.core.span import Span

Group = Literal["steps", "models", "trainers", "executors"]

_PACKAGE = Path(__file__).parent.parent
_FILE_OF = {"api": "openai_http", "sentence-transformers": "sentence_transformers"}
"""Names that are no file names."""
_EMBEDDER_OF = {"api": "_openai_embeddings"}
"""Files of engines that ask one class for answers and another one for embeddings."""


class Catalog:
    """Finds the class behind a name."""

    @cache  # noqa: B019 - one catalog lives as long as the program
    def find(self, group: Group, name: str) -> Any:
        """None for an unknown name. Raises DreamError `broken-plugin`."""
        file = _FILE_OF.get(name, name)
        if file in self._files(group) and name not in _FILE_OF.values():
            return _class_of(importlib.import_module(f"dreammake.{group}.{file}"))
        point = self._plugins(group).get(name)
        return _loaded(point) if point is not None else None

    def find_at(self, group: Group, name: str, place: Span) -> Any:
        """The same for a word of a Dreamfile, whose place an error has."""
        try:
            return self.find(group, name)
        except DreamError as error:
            raise DreamError(replace(error.diagnostics[0], span=place)) from error

    def embedder(self, name: str) -> Any | None:
        """The class that makes embeddings with the engine of a name; None where it makes none, or is unknown."""
        if name in _EMBEDDER_OF:
            return _class_of(importlib.import_module(f"dreammake.models.{_EMBEDDER_OF[name]}"))
        found = self.find("models", name)
        return found if hasattr(found, "embed") else None

    def names(self, group: Group) -> list[str]:
        """All known names, sorted."""
        names_of = {file: name for name, file in _FILE_OF.items()}
        return sorted({names_of.get(file, file) for file in self._files(group)} | set(self._plugins(group)))

    @cache  # noqa: B019
    def _files(self, group: Group) -> frozenset[str]:
        files = os.listdir(_PACKAGE / group)
        return frozenset(file[:-3] for file in files if file.endswith(".py") and not file.startswith("_"))

    @cache  # noqa: B019
    def _plugins(self, group: Group) -> dict[str, Any]:
        from importlib.metadata import entry_points

        return {point.name: point for point in entry_points(group=f"dreammake.{group}")}


def _loaded(point: Any) -> Any:
    """The class of a plug-in, whose code is as good as its author."""
    try:
        found = point.load()
    except Exception as error:
        _broken(point, f"{type(error).__name__}: {error}")
    if not hasattr(found, "Options"):
        _broken(point, f"`{point.attr}` declares no Options")
    return found


def _broken(point: Any, why: str) -> NoReturn:
    message = f"the plug-in `{point.name}` cannot be loaded from {point.value}: {why}"
    fail("broken-plugin", message, hint=f"mend the package {point.dist.name}, or uninstall it")


def _class_of(module: Any) -> Any:
    """The one public class that a file is about: the first that it defines and that declares Options."""
    for thing in vars(module).values():
        if isinstance(thing, type) and thing.__module__ == module.__name__ and "Options" in vars(thing):
            return thing
    raise ImportError(f"{module.__name__} declares no class with Options")
