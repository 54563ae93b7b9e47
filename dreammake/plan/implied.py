"""Inputs that nobody declares but options name: files to load, models and datasets that are targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dreammake.core.diagnostic import fail
from dreammake.core.job import Kind
from dreammake.core.options import Dataset, Datasets, Model, Path, Wrong
from dreammake.core.values import ModelSpec
from dreammake.lang.dreamfile import Names, Rule, Setting, StepDecl
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


Found = tuple[str, str, Kind | None]
"""(role in the recipe, path, kind)"""


def implied_inputs(implied: Implied, names: Names, is_target: Callable[[str], bool], disk: Disk) -> Iterator[Found]:
    """The inputs that the options of one job imply. Raises DreamError for a file that is not there."""
    for step in implied.readers:
        yield from _files_read(step, names, is_target, disk)
    for step, setting in implied.paths:
        value = setting.value_for(names)
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, str) and (is_target(path) or _is_local(path, disk)):
                yield f"{step.label}.{setting.name}", path, None
    for step, setting in implied.models:
        spec = setting.value_for(names)
        if isinstance(spec, ModelSpec):
            yield from _of_model(f"{step.label}.{setting.name}", spec, is_target, disk)


def _of_model(role: str, spec: ModelSpec, is_target: Callable[[str], bool], disk: Disk) -> Iterator[Found]:
    if is_target(spec.model) or _is_local(spec.model, disk):
        yield role, spec.model, "model"
    for option in MODEL_PATHS:
        path = spec.options.get(option)
        if isinstance(path, str) and (is_target(path) or _is_local(path, disk)):
            yield f"{role}.{option}", path, "model"


def _is_local(path: str, disk: Disk) -> bool:
    """Is it a file or folder of the project, and not a name of a hub or provider that looks like one?"""
    return "://" not in path and not path.startswith(("/", "~")) and disk.signature(path) is not None


def _files_read(step: StepDecl, names: Names, is_target: Callable[[str], bool], disk: Disk) -> Iterator[Found]:
    setting = step.settings.get(step.kind.value or "")
    span = setting.expr.span if setting else step.span
    for path in step.kind.reads(step.options(names)):  # type: ignore[attr-defined]
        if "://" in path:
            continue
        try:
            found = [path] if is_target(path) else disk.matching(path)
        except Wrong as wrong:
            fail(wrong.code, wrong.message, span, hint=wrong.hint)
        for file in found:
            yield f"{step.label} {file}", file, None
