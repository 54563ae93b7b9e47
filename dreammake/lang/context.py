"""The functions that look at the project: `glob`, `read`, `column`, `env`. What they see is noted in `Reads`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from dreammake.core.diagnostic import fail
from dreammake.core.secrets import SECRETS
from dreammake.lang.dreamfile import Reads
from dreammake.lang.namespace import ContextFunction


class Project(Protocol):
    """What the language may see of the project folder. Paths are as in the Dreamfile, relative to it."""

    def text(self, path: str) -> str:
        """The text of a file. Raises DreamError where it cannot be read."""

    def glob(self, pattern: str) -> list[str]:
        """The paths that match, sorted; `**` goes through folders."""

    def column(self, target: str, name: str) -> list[Any] | None:
        """The distinct values of a dataset's column in order of first appearance, or None while the dataset is
        still to be built."""


class NotKnownYet(BaseException):
    """An expression asks for the data of a target that is not built. No error: it passes whoever turns errors into
    words, and the graph waits for the target."""

    def __init__(self, target: str, column: str) -> None:
        super().__init__(target)
        self.target = target
        self.column = column


def functions(project: Project, environment: Mapping[str, str], reads: Reads) -> dict[str, Any]:
    """The context functions by name."""

    def glob(pattern: str) -> list[str]:
        found = project.glob(pattern)
        reads.globs[pattern] = tuple(found)
        return found

    def read(path: str) -> str:
        text = project.text(path)
        if path not in reads.files:
            reads.files.append(path)
        return text

    def column(target: str, name: str) -> list[Any]:
        if (target, name) not in reads.columns:
            reads.columns.append((target, name))
        values = project.column(target, name)
        if values is None:
            raise NotKnownYet(target, name)
        return values

    def env(name: str, default: Any = None) -> Any:
        value = environment.get(name)
        reads.environment[name] = value
        SECRETS.add(value, f"env({name})", name)
        return default if value is None else value

    def each(items: Any) -> list[Any]:
        if isinstance(items, str | int | float | bool):
            return [items]
        return list(items)

    return {
        name: ContextFunction(name, _typed(name, call))
        for name, call in {"glob": glob, "read": read, "column": column, "env": env, "_each": each}.items()
    }


def _typed(name: str, call: Any) -> Any:
    """The function with its arguments checked: texts where texts belong."""

    def checked(*args: Any, **kwargs: Any) -> Any:
        if name != "_each" and not all(isinstance(arg, str) for arg in args[: 2 if name == "column" else 1]):
            fail("bad-expression", f"`{name}` takes texts", hint=f'write `{name}("...")`')
        try:
            return call(*args, **kwargs)
        except TypeError:
            fail("bad-expression", f"`{name}` is called with the wrong arguments")

    return checked
