"""From blocks to a Dreamfile: every name is looked up, every option checked, and all errors are told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError, Errors, Note
from dreammake.core.span import Span
from dreammake.core.spelling import did_you_mean
from dreammake.core.values import ModelSpec
from dreammake.lang.config import config_of
from dreammake.lang.context import Project, functions
from dreammake.lang.dreamfile import Dreamfile, Reads, Rule
from dreammake.lang.evaluate import evaluate
from dreammake.lang.include import gather, once
from dreammake.lang.namespace import Namespace
from dreammake.lang.option_values import checked_model, expression_of
from dreammake.lang.paths import with_expand
from dreammake.lang.rules import Defaults, rule_of
from dreammake.lang.settings import RuleSettings
from dreammake.lang.syntax import Block, Expr

TOP_LEVEL = ("config", "defaults", "include", "model", "rule")


@dataclass(frozen=True, slots=True)
class World:
    """What reading a Dreamfile needs from outside: the project's files, the environment, the catalog."""

    project: Project
    environment: Mapping[str, str]
    catalog: Catalog


def resolve(path: str, world: World, overrides: Mapping[str, Any]) -> Dreamfile:
    """Read and resolve a Dreamfile. `overrides` are config values by dotted name. Raises DreamError."""
    errors, reads = Errors(), Reads()
    gathered = gather(path, world.project.text, errors)
    for block in gathered.blocks:
        if block.keyword not in TOP_LEVEL:
            hint = did_you_mean(block.keyword, TOP_LEVEL)
            errors.add("unknown-keyword", f"there is no top-level `{block.keyword}`", block.keyword_span, hint=hint)
    errors.check()
    names: dict[str, Any] = functions(world.project, world.environment, reads)
    config = config_of(_named(gathered.blocks, "config"), names, overrides, errors)
    names["config"] = Namespace(config)
    models = _models(_named(gathered.blocks, "model"), names, world.catalog, errors)
    names |= models
    names["models"] = Namespace(models)
    defaults = _defaults(_named(gathered.blocks, "defaults"), world.catalog, errors)
    rules = _rules(_named(gathered.blocks, "rule"), names, world.catalog, defaults, errors)
    errors.check()
    sources = tuple(gathered.sources)
    return Dreamfile(path, sources, gathered.doc, config, models, rules, names, reads)


def _named(blocks: list[Block], keyword: str) -> list[Block]:
    return [block for block in blocks if block.keyword == keyword]


def _models(blocks: list[Block], names: Mapping[str, Any], catalog: Catalog, errors: Errors) -> dict[str, ModelSpec]:
    once(blocks, "model", errors)
    models: dict[str, ModelSpec] = {}
    for block in blocks:
        if block.name is None:
            continue
        try:
            models[block.name] = _model(block, {**names, **models}, catalog, errors)
        except DreamError as error:
            errors.take(error)
            models[block.name] = ModelSpec(block.name, "")
    return models


def _model(block: Block, names: Mapping[str, Any], catalog: Catalog, errors: Errors) -> ModelSpec:
    assert block.name is not None
    model, options, engine = "", {}, "api"
    spans: dict[str, Span] = {}
    if len(block.values) != 1:
        hint = f'write `model {block.name}: "openai/gpt-4o"`'
        errors.add("missing-value", f"the model `{block.name}` needs one name of the provider", block.span, hint=hint)
    else:
        value = evaluate(with_expand(block.values[0]), names)
        if isinstance(value, str) and value:
            model = value
        else:
            errors.add("wrong-type", "a model's name is a text", block.values[0].span)
    for part in block.blocks:
        expr = expression_of(part, errors)
        if expr is None:
            continue
        spans[part.keyword] = expr.span if part.keyword == "engine" else part.keyword_span
        value = evaluate(with_expand(expr), names)
        if part.keyword == "engine":
            engine = str(value)
        else:
            options[part.keyword] = value
    return checked_model(ModelSpec(block.name, model, engine, options), block.span, catalog, spans)


def _defaults(blocks: list[Block], catalog: Catalog, errors: Errors) -> Defaults:
    """The options of `defaults:`; each must be one of a rule or of some step."""
    found: dict[str, tuple[Span, Expr]] = {}
    for block in blocks:
        for part in block.blocks:
            expr = expression_of(part, errors)
            if expr is not None:
                found[part.keyword] = (part.keyword_span, expr)
    if found:
        known = set(RuleSettings.declared())
        for word in catalog.names("steps"):
            known |= set(catalog.find("steps", word).Options.declared())
        for name in set(found) - known:
            span, _ = found[name]
            errors.add(
                "unknown-option", f"no rule or step has an option `{name}`", span, hint=did_you_mean(name, known)
            )
    return found


def _rules(
    blocks: list[Block], names: Mapping[str, Any], catalog: Catalog, defaults: Defaults, errors: Errors
) -> dict[str, Rule]:
    once(blocks, "rule", errors)
    rules: dict[str, Rule] = {}
    for block in blocks:
        rule = rule_of(block, names, catalog, defaults, errors)
        if rule is not None:
            rules.setdefault(rule.name, rule)
    _check_two_makers(rules, errors)
    return rules


def _check_two_makers(rules: Mapping[str, Rule], errors: Errors) -> None:
    """Two rules that could make one target, as far as a plain path tells."""
    literal: dict[str, tuple[Rule, Span]] = {}
    for rule in rules.values():
        for output in rule.outputs:
            if output.literal is None:
                continue
            path = output.literal.rstrip("/")
            if path in literal:
                _two_makers(path, rule, output.span, literal[path], errors)
            literal[path] = (rule, output.span)
    for rule in rules.values():
        for output in rule.outputs:
            if output.regex is None:
                continue
            for path, other in literal.items():
                if path.startswith(output.prefix) and output.regex.fullmatch(path):
                    _two_makers(path, rule, output.span, other, errors)


def _two_makers(path: str, rule: Rule, span: Span, other: tuple[Rule, Span], errors: Errors) -> None:
    first = Note(f"the rule `{other[0].name}` makes it here", other[1])
    hint = "rename one output, or constrain its wildcard"
    errors.add("two-makers", f"the rule `{rule.name}` could make `{path}`, too", span, hint=hint, notes=[first])
