"""Inputs that nobody declares but options name: files to load, models and datasets that are targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dreammake.core.diagnostic import fail
from dreammake.core.job import Kind
from dreammake.core.options import Dataset, Datasets, Model, Path, Wrong
from dreammake.core.values import Function, ModelSpec, models_in
from dreammake.lang.dreamfile import Names, Rule, Setting, StepDecl
from dreammake.plan.model_engine import check_engine
from dreammake.plan.ports import Disk

MODEL_PATHS = ("adapter", "chat_template", "mmproj")
"""Options of a model that may name a target."""


@dataclass(frozen=True, slots=True)
class Implied:
    """The settings of a rule that may imply inputs, found once a rule."""

    models: tuple[tuple[StepDecl, Setting], ...]
    paths: tuple[tuple[StepDecl, Setting], ...]
    readers: tuple[StepDecl, ...]

    @property
    def any(self) -> bool:
        return bool(self.models or self.paths or self.readers)

    @classmethod
    def of(cls, rule: Rule, disk: Disk) -> Implied:
        models, paths, readers = [], [], []
        for step in rule.steps:
            if hasattr(step.kind, "reads"):
                readers.append(step)
            for setting in step.settings.values():
                if isinstance(setting.option, Model):
                    models.append((step, setting))
                elif isinstance(setting.option, Path | Dataset | Datasets):
                    paths.append((step, setting))
        return cls(tuple(models), tuple(paths), tuple(readers))


Maker = Callable[[str], Rule | None]
"""The rule that makes a path."""

Found = tuple[str, str, Kind | None]
"""(role in the recipe, path, kind)"""


def implied_inputs(implied: Implied, names: Names, maker: Maker, disk: Disk) -> Iterator[Found]:
    """The inputs that the options of one job imply. Raises DreamError for a file that is not there, or for a model that
    its engine does not run."""
    for step in implied.readers:
        yield from _files_read(step, names, maker, disk)
    for step, setting in implied.paths:
        value = setting.value_for(names)
        if isinstance(value, Function):  # nearest(input.shots, ...)
            value = list(value.args)
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, str) and (maker(path) or _is_local(path, disk)):
                yield f"{step.label}.{setting.name}", path, None
    for step, setting in (*implied.models, *implied.paths):
        for spec in models_in(setting.value_for(names)):
            if (rule := maker(spec.model)) is not None:
                check_engine(spec, rule, setting.expr.span)
            yield from _of_model(f"{step.label}.{setting.name}", spec, maker, disk)


def _of_model(role: str, spec: ModelSpec, maker: Maker, disk: Disk) -> Iterator[Found]:
    if maker(spec.model) or _is_local(spec.model, disk):
        yield role, spec.model, "model"
    for option in MODEL_PATHS:
        path = spec.options.get(option)
        if isinstance(path, str) and (maker(path) or _is_local(path, disk)):
            yield f"{role}.{option}", path, "model"


def _is_local(path: str, disk: Disk) -> bool:
    """Is it a file or folder of the project, and not a name of a hub or provider that looks like one?"""
    return "://" not in path and not path.startswith(("/", "~")) and disk.signature(path) is not None


def _files_read(step: StepDecl, names: Names, maker: Maker, disk: Disk) -> Iterator[Found]:
    setting = step.settings.get(step.kind.value or "")
    span = setting.expr.span if setting else step.span
    for path in step.kind.reads(step.options(names)):  # type: ignore[attr-defined]
        if "://" in path:
            continue
        try:
            found = [path] if maker(path) else disk.matching(path)
        except Wrong as wrong:
            fail(wrong.code, wrong.message, span, hint=wrong.hint)
        for file in found:
            yield f"{step.label} {file}", file, None
