"""Options as they are written become settings: evaluated once, or once a job, and checked."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError, Errors, fail
from dreammake.core.options import Command, Option, Wrong
from dreammake.core.options import Text as TextOption
from dreammake.core.secrets import SECRETS
from dreammake.core.span import Span
from dreammake.core.spelling import did_you_mean
from dreammake.core.values import Function, ModelSpec, RowExpression, Template, models_in
from dreammake.lang.dreamfile import PER_JOB, Names, Setting
from dreammake.lang.evaluate import compile_expr
from dreammake.lang.functions import FUNCTIONS
from dreammake.lang.names import capture, chains, free_names
from dreammake.lang.paths import with_expand
from dreammake.lang.pattern import parse_pattern
from dreammake.lang.syntax import Block, Dict, Expr, FormatText, Name, Sequence, Text
from dreammake.lang.template import ParsedTemplate, parse_template
from dreammake.lang.tree_json import to_json

JOB_NAMES = ("wildcards", "input", "output")


@dataclass(frozen=True, slots=True)
class Scope:
    """What the expressions of one rule can read: `names` always, `job_names` (wildcards, input, output) per job."""

    names: Names
    job_names: frozenset[str]
    catalog: Catalog

    def knows(self, name: str) -> bool:
        return name in self.names or name in self.job_names or name in FUNCTIONS

    def known(self) -> list[str]:
        return sorted({*self.names, *self.job_names, *FUNCTIONS} - {"_each"})


def expression_of(block: Block, errors: Errors) -> Expr | None:
    """The value of an option's block: after the colon, or an indented block of names as a dict."""
    if block.values and block.blocks:
        errors.add("bad-option", f"`{block.keyword}` has a value and a block", block.span, hint="keep one of them")
        return None
    if len(block.values) == 1:
        return block.values[0]
    if block.values:
        return Sequence(block.values[0].span.to(block.values[-1].span), "list", block.values)
    if not block.blocks:
        errors.add("missing-value", f"`{block.keyword}` has no value", block.span, hint=f"write `{block.keyword}: ...`")
        return None
    items: list[tuple[Expr, Expr]] = []
    for inner in block.blocks:
        value = expression_of(inner, errors)
        if value is not None:
            items.append((Text(inner.keyword_span, inner.keyword, ()), value))
    return Dict(block.span, tuple(items))


def setting_of(
    option: Option[Any], span: Span, expr: Expr, scope: Scope, errors: Errors, shown: str = ""
) -> Setting | None:
    """The option as a setting, or None with what is wrong in `errors`. `shown` is how the user knows the option:
    `take`, for the option that stands behind its colon."""
    try:
        if option.when == "row":
            return _row_setting(option, span, expr, scope)
        if option.when == "text":
            return _text_setting(option, span, expr, scope)
        if isinstance(option, Command):
            return _command_setting(option, span, expr, scope)
        return _reading_setting(option, span, expr, scope)
    except DreamError as error:
        for found in error.diagnostics:
            message = found.message.replace(f"`{option.name}`", f"`{shown or option.name}`")
            errors.add(found.code, message, found.span, label=found.label, hint=found.hint, notes=found.notes)
        return None


def checked(option: Option[Any], value: Any, span: Span, catalog: Catalog) -> Any:
    """The value as the option takes it. Raises DreamError at `span`."""
    try:
        value = option.check(value)
        _hide_credentials(value, f"key({option.name})")
        return _with_checked_models(value, span, catalog) if models_in(value) else value
    except Wrong as wrong:
        fail(wrong.code, wrong.message, span, hint=wrong.hint)


def _with_checked_models(value: Any, span: Span, catalog: Catalog) -> Any:
    match value:
        case ModelSpec():
            return checked_model(value, span, catalog)
        case list() | tuple():
            return [_with_checked_models(item, span, catalog) for item in value]
        case Function(function, args, kwargs):
            named = {name: _with_checked_models(item, span, catalog) for name, item in kwargs.items()}
            return Function(function, tuple(_with_checked_models(item, span, catalog) for item in args), named)
    return value


def checked_model(spec: ModelSpec, span: Span, catalog: Catalog, spans: Mapping[str, Span] | None = None) -> ModelSpec:
    """A model whose options its engine knows and takes. Raises DreamError."""
    engine = catalog.find_at("models", spec.engine, (spans or {}).get("engine", span))
    if engine is None:
        hint = did_you_mean(spec.engine, catalog.names("models"))
        fail("unknown-engine", f"there is no engine `{spec.engine}`", (spans or {}).get("engine", span), hint=hint)
    declared = engine.Options.declared()
    options: dict[str, Any] = {}
    errors = Errors()
    for name, value in spec.options.items():
        place = (spans or {}).get(name, span)
        if name not in declared:
            hint = did_you_mean(name, [*declared, "engine"] if spans is not None else declared)
            errors.add("unknown-option", f"the engine `{spec.engine}` has no option `{name}`", place, hint=hint)
            continue
        try:
            options[name] = declared[name].check(value)
        except Wrong as wrong:
            errors.add(wrong.code, wrong.message, place, hint=wrong.hint)
    errors.check()
    SECRETS.reveal(spec.model)
    SECRETS.add(options.get("api_key"), f"key({spec.name})", "api_key")
    for value in options.values():
        _hide_credentials(value, f"key({spec.name})")
    return ModelSpec(spec.name, spec.model, spec.engine, options, spec.target)


def _hide_credentials(value: Any, shown: str) -> None:
    """Those in an address, or in one of several."""
    for text in value if isinstance(value, list | tuple) else (value,):
        SECRETS.add_credentials(text, shown)


def _reading_setting(option: Option[Any], span: Span, expr: Expr, scope: Scope) -> Setting:
    expr = with_expand(expr)
    return _evaluated(option, span, expr, scope, lambda value: checked(option, value, expr.span, scope.catalog))


def _evaluated(
    option: Option[Any], span: Span, expr: Expr, scope: Scope, read: Callable[[Any], Any], columns: Any = None
) -> Setting:
    """A setting whose value is `read` of what the expression evaluates to, now or per job."""
    run = compile_expr(expr)
    used = free_names(expr)
    _check_names(used, scope)
    if "column" in used:
        hint = "use it in `input`, where the graph can grow by it"
        fail(
            "misplaced-column",
            "`column()` is for inputs: its data is not there when options are read",
            used["column"],
            hint=hint,
        )
    if not scope.job_names.isdisjoint(used):
        return Setting(option.name, option, span, expr, PER_JOB, lambda names: read(run(names)), columns or {})
    return Setting(option.name, option, span, expr, read(run(scope.names)), None, columns or {})


def _check_names(used: Mapping[str, Span], scope: Scope) -> None:
    errors = Errors()
    for name, place in used.items():
        if not scope.knows(name):
            hint = did_you_mean(name, scope.known())
            errors.add("unknown-name", f"there is no `{name}` here", place, hint=hint)
    errors.check()


def _row_setting(option: Option[Any], span: Span, expr: Expr, scope: Scope) -> Setting:
    tree, used = to_json(expr), free_names(expr)
    columns = {name: place for name, place in used.items() if not scope.knows(name)}
    roots = {name: chains(expr, name) for name in used if name in scope.names or name in scope.job_names}

    def read(names: Names) -> RowExpression:
        return RowExpression(tree, expr.span.text, capture(names, roots))

    if not scope.job_names.isdisjoint(used):
        return Setting(option.name, option, span, expr, PER_JOB, read, columns)
    return Setting(option.name, option, span, expr, read(scope.names), None, columns)


def _text_setting(option: Option[Any], span: Span, expr: Expr, scope: Scope) -> Setting:
    literals = list(_texts(expr)) if isinstance(expr, Text | Sequence | Dict) else []
    parsed = [parse_template(text) for text in literals]
    columns: dict[str, Span] = {}
    for template in parsed:
        columns |= {name: place for name, place in template.names.items() if name not in ("config", "wildcards")}
    single = isinstance(option, TextOption)
    if isinstance(expr, Text):
        per_job = "wildcards" in parsed[0].names

        def read(names: Names) -> Template:
            return Template(expr.value, _captured(names, parsed))

        value = PER_JOB if per_job else read(scope.names)
        return Setting(option.name, option, span, expr, value, read if per_job else None, columns)
    run, used = compile_expr(with_expand(expr)), free_names(expr)
    _check_names(used, scope)

    def evaluated(names: Names) -> Any:
        value = run(names)
        if value is None and option.default is None:
            return None
        if single and not isinstance(value, str):
            fail("wrong-type", option.wrong(value).message, expr.span)
        return _templates(value, expr, names)

    per_job = not scope.job_names.isdisjoint(used) or any("wildcards" in template.names for template in parsed)
    if per_job:
        return Setting(option.name, option, span, expr, PER_JOB, evaluated, columns)
    value = evaluated(scope.names)
    for source in _sources(value):
        template = parse_template(Text(expr.span, source, ()))
        for name in template.names:
            if name not in ("config", "wildcards"):
                columns.setdefault(name, expr.span)
        if "wildcards" in template.names:
            return Setting(option.name, option, span, expr, PER_JOB, evaluated, columns)
    return Setting(option.name, option, span, expr, value, None, columns)


def _templates(value: Any, expr: Expr, names: Names) -> Any:
    """The value with each text in it made a template."""
    if isinstance(value, str):
        return Template(value, _captured(names, [parse_template(Text(expr.span, value, ()))]))
    if isinstance(value, list | tuple):
        return [_templates(item, expr, names) for item in value]
    if isinstance(value, Mapping):
        return {key: _templates(item, expr, names) for key, item in value.items()}
    return value


def _captured(names: Names, parsed: Iterable[ParsedTemplate]) -> Mapping[str, Any]:
    roots: dict[str, set[tuple[str, ...]]] = {}
    for template in parsed:
        for root in ("config", "wildcards"):
            if root in template.names:
                roots.setdefault(root, set()).update(template.chains.get(root, {()}))
    return capture(names, roots)


def _texts(expr: Expr) -> Iterable[Text]:
    """The literal texts of a list or a dict, in order; not the keys."""
    if isinstance(expr, Text):
        yield expr
    elif isinstance(expr, Sequence):
        for item in expr.items:
            yield from _texts(item)
    elif isinstance(expr, Dict):
        for _, item in expr.items:
            yield from _texts(item)


def _sources(value: Any) -> Iterable[str]:
    if isinstance(value, Template):
        yield value.source
    elif isinstance(value, list):
        for item in value:
            yield from _sources(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _sources(item)


def _command_setting(option: Option[Any], span: Span, expr: Expr, scope: Scope) -> Setting:
    """A command: its holes are filled with quoted values. `output` holds marks that the worker replaces."""
    if not isinstance(expr, Text):
        if isinstance(expr, FormatText):
            hint = "take the f away: a command fills its own holes"
            fail("bad-option", "a command is a plain text, no f-string", expr.span, hint=hint)
        return _reading_setting(option, span, expr, scope)
    parts = parse_pattern(expr, declares=False).parts
    compiled = [part if isinstance(part, str) else (part.value, compile_expr(part.value)) for part in parts]
    used: dict[str, Span] = {}
    for part in parts:
        if not isinstance(part, str):
            used |= free_names(part.value)
    _check_names(used, scope)

    def fill(names: Names) -> str:
        text = ""
        for part in compiled:
            if isinstance(part, str):
                text += part
                continue
            hole, run = part
            whole = isinstance(hole, Name) and hole.id in ("input", "output")
            text += quoted(names[f"_{hole.id}s"] if whole else run(names))  # type: ignore[attr-defined]
        return text

    if scope.job_names.isdisjoint(used):
        return Setting(option.name, option, span, expr, fill(scope.names))
    return Setting(option.name, option, span, expr, PER_JOB, fill)


def quoted(value: Any) -> str:
    """A value as words of a shell command."""
    if isinstance(value, list | tuple):
        return " ".join(quoted(item) for item in value if item is not None)
    return shlex.quote(str(value))
