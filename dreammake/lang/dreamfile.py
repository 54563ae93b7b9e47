"""A resolved Dreamfile: what the text means, immutable, with every name looked up. The plan is made from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dreammake.core.options import Option, OptionSet
from dreammake.core.span import Source, Span
from dreammake.core.step import Step
from dreammake.core.values import NOTHING, ModelSpec
from dreammake.lang.syntax import Block, Expr

Names = Mapping[str, Any]
"""What an expression can read by name."""


@dataclass(slots=True)
class Reads:
    """What an evaluation looked at beside its names: it becomes inputs, and decides what a verdict depends on."""

    files: list[str] = field(default_factory=list)
    columns: list[tuple[str, str]] = field(default_factory=list)
    """(target, column) pairs that `column()` asked for."""
    globs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    environment: dict[str, str | None] = field(default_factory=dict)


class _PerJob:
    def __repr__(self) -> str:
        return "PER_JOB"


PER_JOB: Any = _PerJob()
"""Stands for the value of a setting that differs from job to job."""


@dataclass(frozen=True, slots=True)
class Setting:
    """An option as the Dreamfile gives it.

    `value` is its checked value where that is the same for every job of the rule, else PER_JOB; then `compute`
    gives it, from the names of the job. `columns` are the names that must be columns, each with a place.
    """

    name: str
    option: Option[Any]
    span: Span
    expr: Expr
    value: Any
    compute: Callable[[Names], Any] | None = None
    columns: Mapping[str, Span] = NOTHING

    def value_for(self, names: Names) -> Any:
        """The value for the job that these are the names of."""
        return self.compute(names) if self.value is PER_JOB and self.compute is not None else self.value


@dataclass(frozen=True, slots=True)
class StepDecl:
    """One step of a rule."""

    word: str
    name: str | None
    kind: type[Step]
    settings: Mapping[str, Setting]
    span: Span
    label: str
    """How messages name it: `prompt tweet`; a second equal one is `prompt tweet (2)`."""

    def values(self, names: Names) -> dict[str, Any]:
        """The options that are written, by name, for one job."""
        return {name: setting.value_for(names) for name, setting in self.settings.items()}

    def options(self, names: Names) -> OptionSet:
        """The options as the step sees them, defaults included."""
        return self.kind.options_for(self.name)(self.values(names))


@dataclass(frozen=True, slots=True)
class InputDecl:
    """One input: `compute` gives a path, a list of paths, or None. `literal` is its path where it is one text."""

    name: str | None
    span: Span
    expr: Expr
    compute: Callable[[Names], Any]
    literal: str | None = None


@dataclass(frozen=True, slots=True)
class OutputDecl:
    """One output pattern. `literal` is the path where there is no wildcard, else `regex` matches paths."""

    name: str | None
    span: Span
    text: str
    literal: str | None
    prefix: str
    regex: re.Pattern[str] | None
    parts: tuple[str | tuple[str, str], ...]
    """Texts, and (wildcard, constraint) pairs."""
    temp: bool = False
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    name: str
    span: Span
    doc: str
    inputs: tuple[InputDecl, ...]
    outputs: tuple[OutputDecl, ...]
    steps: tuple[StepDecl, ...]
    wildcards: Mapping[str, str]
    """Names of its wildcards, and their constraints (`int`, or a regular expression)."""
    settings: Mapping[str, Any]
    """`resources`, `retries`, `priority`, `tags`, `publish`, `columns`."""
    block: Block


@dataclass(frozen=True, slots=True)
class Dreamfile:
    """Everything a Dreamfile says."""

    path: str
    sources: tuple[Source, ...]
    doc: str
    config: Mapping[str, Any]
    models: Mapping[str, ModelSpec]
    rules: Mapping[str, Rule]
    names: Names
    """The names that every expression can read: config, models, functions."""
    reads: Reads

    @property
    def default_target(self) -> str | None:
        """The rule `all`, or the first rule."""
        if "all" in self.rules:
            return "all"
        return next(iter(self.rules), None)
