"""Recipes: what a job would do, one field an ingredient. Two jobs of equal recipes and inputs make the same.

Ingredients that are the same for every job of a rule are gathered once (`Shared`) and named by their digest; a
job's own are those that differ. Names of rules and models, places, and options with `result=False` are in none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal

from dreammake.core import fingerprint
from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import fail
from dreammake.core.options import Command, Functions, Wrong
from dreammake.core.secrets import SECRETS
from dreammake.core.span import Span
from dreammake.core.values import Function, ModelSpec, Template, models_in, to_json
from dreammake.lang.dreamfile import PER_JOB, Names, Rule, Setting, StepDecl
from dreammake.plan.ports import Disk

Kind = Literal["option", "prompt", "model", "function", "step-version", "wildcard"]


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One field: where it stands in words (`prompt tweet.prompt`), its kind, its value as JSON, its place.

    `shown` is how a person reads a value that is a syntax tree; it decides nothing.
    """

    where: str
    kind: Kind
    value: Any
    span: Span | None = None
    shown: str | None = None

    def row(self) -> list[Any]:
        return [self.where, self.kind, self.value]


@dataclass(frozen=True, slots=True)
class Shared:
    """The ingredients that all jobs of a rule have in common."""

    ingredients: tuple[Ingredient, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """The ingredients of one job. `own_text` is the canonical JSON of its own ones."""

    shared: Shared
    own: tuple[Ingredient, ...]
    own_text: str

    def ingredients(self) -> tuple[Ingredient, ...]:
        return (*self.shared.ingredients, *self.own)


def shared_of(rule: Rule, disk: Disk, catalog: Catalog) -> Shared:
    """What every job of the rule has in common. Raises DreamError where a function cannot be found."""
    found: list[Ingredient] = []
    for step in rule.steps:
        found += _versions(step, catalog)
        options = [item for setting in _in_order(step) for item in _of_setting(step, setting, setting.value)]
        # In one order, so that a default that is written out changes nothing.
        found += sorted([*options, *_defaults(step)], key=attrgetter("where"))
        found += _of_functions(step, disk)
    if rule.steps and rule.steps[-1].kind.last and len(rule.outputs) > 1:
        found.append(Ingredient("outputs", "option", [output.name for output in rule.outputs]))
    found = [_sealed(item) for item in found]
    digest = fingerprint.of_value([item.row() for item in found])
    return Shared(tuple(found), digest)


def recipe_of(rule: Rule, shared: Shared, names: Names) -> Recipe:
    """The recipe of one job, given the names of the job."""
    own: list[Ingredient] = []
    for step in rule.steps:
        for setting in _in_order(step):
            if setting.value is PER_JOB and setting.compute is not None:
                own += map(_sealed, _of_setting(step, setting, setting.compute(names)))
    return Recipe(shared, tuple(own), fingerprint.canonical([item.row() for item in own]) if own else "[]")


def _sealed(item: Ingredient) -> Ingredient:
    """The ingredient without secrets: what stands in their place changes when they do."""
    value, shown = SECRETS.seal_in(item.value), SECRETS.seal_in(item.shown)
    return item if (value, shown) == (item.value, item.shown) else replace(item, value=value, shown=shown)


def _in_order(step: StepDecl) -> list[Setting]:
    """The settings by name: the order in which they are written means nothing."""
    return [step.settings[name] for name in sorted(step.settings)]


def function_of(step: StepDecl) -> str | None:
    """The `file.py:function` that a step runs, where it is one of the user's."""
    if step.word != "python":
        return None
    setting = step.settings.get(step.kind.value or "")
    return setting.value if setting is not None and isinstance(setting.value, str) else None


def check_functions(step: StepDecl, disk: Disk) -> None:
    """Is each function there that the step names? Raises DreamError."""
    if function_of(step) is not None or any(
        isinstance(setting.option, Functions) for setting in step.settings.values()
    ):
        _of_functions(step, disk)


def _of_functions(step: StepDecl, disk: Disk) -> list[Ingredient]:
    """The source of the user's functions, and of what they use, each once."""
    found: dict[str, Ingredient] = {}
    for reference, span in functions_of(step):
        try:
            sources = disk.function(reference)
        except Wrong as wrong:
            fail(wrong.code, wrong.message, span, hint=wrong.hint)
        for name, digest in sorted(sources.items()):
            found.setdefault(name, Ingredient(f"function {name}", "function", digest, span))
    return list(found.values())


def functions_of(step: StepDecl) -> Iterator[tuple[str, Span]]:
    """Every `file.py:function` of the user's that a step runs, with its place. Raises DreamError where a wildcard
    decides which one: the functions of a rule are those of all its jobs."""
    if (reference := function_of(step)) is not None:
        yield reference, step.settings[step.kind.value or ""].span
    for setting in _in_order(step):
        if not isinstance(setting.option, Functions):
            continue
        if setting.value is PER_JOB:
            message = f"`{setting.name}` is the same for every job of the rule, so it reads no wildcard"
            fail("wrong-type", message, setting.expr.span, hint="write a rule for each")
        yield from ((reference, setting.expr.span) for reference in setting.value or ())


def _versions(step: StepDecl, catalog: Catalog) -> Iterator[Ingredient]:
    yield Ingredient(f"{step.label} version", "step-version", [step.word, step.name, step.kind.version], step.span)
    if step.kind.named == "method" and step.name is not None:
        trainer = catalog.find("trainers", step.name)
        yield Ingredient(f"{step.label} trainer version", "step-version", trainer.version, step.span)


def _defaults(step: StepDecl) -> Iterator[Ingredient]:
    """Options that are left out, with their defaults: a default that changes is a change."""
    for name, option in step.kind.options_for(step.name).declared().items():
        if name in step.settings or not option.result or option.required or option.default is None:
            continue
        if isinstance(option.default, Template):
            yield Ingredient(f"{step.label}.{name}", "prompt", option.default.source, step.span)
        else:
            yield Ingredient(f"{step.label}.{name}", "option", to_json(option.default), step.span)


def _of_setting(step: StepDecl, setting: Setting, value: Any) -> Iterator[Ingredient]:
    if not setting.option.result or value is PER_JOB or (value is None and setting.option.default is None):
        return
    where = step.label if setting.name == step.kind.value else f"{step.label}.{setting.name}"
    if isinstance(value, Function):  # nearest(input.shots, model=...)
        named = {name: part for name, part in value.kwargs.items() if isinstance(part, ModelSpec)}
        for name, model in sorted(named.items()):
            yield from _of_model(f"{where}.{name}", model, setting.span)
        value = replace(value, kwargs={name: part for name, part in value.kwargs.items() if name not in named})
    elif models := models_in(value):
        for number, model in enumerate(models):
            yield from _of_model(f"{where}[{number}]" if len(models) > 1 else where, model, setting.span)
        return
    if setting.option.when == "text":
        plain: Any = to_json(value)
        captured: dict[str, Any] = {}
        yield Ingredient(where, "prompt", _without_captured(plain, captured), setting.span)
    elif setting.option.when == "row":
        captured = dict(value.captured)
        yield Ingredient(where, "option", {"$expression": value.tree}, setting.span, value.text)
    else:
        kind: Kind = "prompt" if isinstance(setting.option, Command) else "option"
        yield Ingredient(where, kind, to_json(value), setting.span)
        return
    for name, part in _flat(captured):
        kind = "option" if name.startswith("config") else "wildcard"
        yield Ingredient(f"{where} ({name})", kind, to_json(part), setting.span)


def _of_model(where: str, spec: ModelSpec, span: Span) -> Iterator[Ingredient]:
    """A model: its engine, its provider's name, and each of its options that changes an answer."""
    if not spec.target:
        yield Ingredient(where, "model", f"{spec.model} ({spec.engine})", span)
    else:
        yield Ingredient(where, "model", f"({spec.engine})", span)
    declared = Catalog().find("models", spec.engine).Options.declared()
    for name, value in sorted(spec.options.items()):
        if declared[name].result and value is not None:
            yield Ingredient(f"{where}.{name}", "model", to_json(value), span)


def _without_captured(value: Any, into: dict[str, Any]) -> Any:
    """Template JSON with the captured names moved to `into`."""
    if isinstance(value, dict) and "$template" in value:
        _merge(into, value["captured"])
        return value["$template"]
    if isinstance(value, dict):
        return {key: _without_captured(item, into) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_captured(item, into) for item in value]
    return value


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _flat(captured: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in sorted(captured.items()):
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
