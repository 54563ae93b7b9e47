"""A `rule` block becomes a Rule: inputs, outputs, steps and settings, with every word looked up in the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError, Errors, fail
from dreammake.core.options import Dict as DictOption
from dreammake.core.options import Option
from dreammake.core.span import Span
from dreammake.core.spelling import did_you_mean, nearest
from dreammake.core.step import Step
from dreammake.lang.dreamfile import PER_JOB, InputDecl, Names, OutputDecl, Rule, Setting, StepDecl
from dreammake.lang.evaluate import compile_expr
from dreammake.lang.names import free_names
from dreammake.lang.option_values import JOB_NAMES, Scope, expression_of, setting_of
from dreammake.lang.paths import output_of, with_holes
from dreammake.lang.pattern import parse_pattern
from dreammake.lang.settings import RuleSettings
from dreammake.lang.syntax import Block, Call, Expr, Name, Sequence, Text
from dreammake.lang.syntax import Dict as DictExpr

SAME_FOR_ALL = ("tags",)
"""Settings by which targets are found before any job is known."""
Defaults = Mapping[str, tuple[Span, Expr]]
"""The options of `defaults:`, as expressions."""


def rule_of(block: Block, names: Names, catalog: Catalog, defaults: Defaults, errors: Errors) -> Rule | None:
    """The rule, or None where it is too broken to go on with; what is wrong is in `errors`."""
    before = len(errors.found)
    outputs = _outputs(block, names, errors)
    wildcards: dict[str, str] = {}
    for output in outputs:
        for part in output.parts:
            if not isinstance(part, str):
                wildcards[part[0]] = part[1] or wildcards.get(part[0], "")
    _check_same_wildcards(outputs, wildcards, errors)
    scope = Scope(names, frozenset((*wildcards, *JOB_NAMES)), catalog)
    inputs = _inputs(block, scope, wildcards, errors)
    settings, steps = _body(block, scope, defaults, errors)
    if len(errors.found) == before:
        _check_order(block, outputs, steps, errors)
    if len(errors.found) > before or block.name is None:
        return None
    doc = block.docstring.value if block.docstring else ""
    return Rule(block.name, block.span, doc, tuple(inputs), tuple(outputs), tuple(steps), wildcards, settings, block)


def _items(block: Block, keyword: str, errors: Errors) -> list[tuple[str | None, Span, Expr]]:
    """The values of `input:` or `output:`: positional ones, and named ones of an indented block."""
    found: list[tuple[str | None, Span, Expr]] = []
    for part in block.blocks:
        if part.keyword != keyword:
            continue
        found += [(None, value.span, value) for value in part.values]
        for named in part.blocks:
            if named.name is not None or named.blocks:
                errors.add("bad-option", f"an {keyword} is `name: path`", named.span)
                continue
            value = expression_of(named, errors)
            if value is not None:
                found.append((named.keyword, named.keyword_span, value))
    return found


def _outputs(block: Block, names: Names, errors: Errors) -> list[OutputDecl]:
    outputs: list[OutputDecl] = []
    for name, _, expr in _items(block, "output", errors):
        try:
            outputs.append(_output(name, expr, names))
        except DreamError as error:
            errors.take(error)
    return outputs


def _output(name: str | None, expr: Expr, names: Names) -> OutputDecl:
    marks = {"temp": False, "protected": False}
    while (
        isinstance(expr, Call) and isinstance(expr.function, Name) and expr.function.id in marks and len(expr.args) == 1
    ):
        marks[expr.function.id] = True
        expr = expr.args[0]
    if not isinstance(expr, Text):
        value = compile_expr(expr)(names)
        if not isinstance(value, str):
            hint = "give each output a line of its own, or make one rule with a wildcard"
            fail("bad-output", "an output is one path", expr.span, hint=hint)
        expr = Text(expr.span, value, ())
    check_path(expr.value, expr.span)
    return output_of(parse_pattern(expr, declares=True), name, temp=marks["temp"], protected=marks["protected"])


def check_path(path: str, span: Span | None) -> None:
    """Refuse a path that is empty or leaves the project."""
    parts = path.split("/")
    if not path.strip("./ "):
        fail("outside-project", "an output needs a path below the project folder", span)
    if path.startswith(("/", "~")) or ".." in parts:
        hint = "use a path below the folder of the Dreamfile"
        fail("outside-project", f"the output `{path}` lies outside the project", span, hint=hint)
    if parts[0] == ".dreammake":
        fail("outside-project", "`.dreammake` belongs to dreammake itself", span, hint="choose another folder")


def _check_same_wildcards(outputs: list[OutputDecl], wildcards: Mapping[str, str], errors: Errors) -> None:
    for output in outputs:
        own = {part[0] for part in output.parts if not isinstance(part, str)}
        missing = sorted(set(wildcards) - own)
        if missing:
            message = f"the output `{output.text}` lacks the wildcard `{missing[0]}` that another output has"
            errors.add("missing-wildcard", message, output.span, hint="all outputs of a rule have the same wildcards")


def _inputs(block: Block, scope: Scope, wildcards: Mapping[str, str], errors: Errors) -> list[InputDecl]:
    inputs: list[InputDecl] = []
    for name, _, expr in _items(block, "input", errors):
        try:
            filled = with_holes(expr)
            known = Scope(scope.names, frozenset((*wildcards, "wildcards")), scope.catalog)
            for used, place in free_names(filled).items():
                if not known.knows(used):
                    _unknown_in_input(used, place, wildcards, known, errors)
            literal = filled.value if isinstance(filled, Text) else None
            inputs.append(InputDecl(name, expr.span, filled, compile_expr(filled), literal))
        except DreamError as error:
            errors.take(error)
    return inputs


def _unknown_in_input(name: str, place: Span, wildcards: Mapping[str, str], scope: Scope, errors: Errors) -> None:
    if nearest(name, scope.known()) is None and not wildcards:
        hint = f"a wildcard gets its value from the output: put `{{{name}}}` there"
        errors.add("missing-wildcard", f"`{name}` is no wildcard of this rule", place, hint=hint)
        return
    errors.add("unknown-name", f"there is no `{name}` here", place, hint=did_you_mean(name, scope.known()))


def _body(block: Block, scope: Scope, defaults: Defaults, errors: Errors) -> tuple[dict[str, Any], list[StepDecl]]:
    """The settings and the steps of a rule."""
    declared = RuleSettings.declared()
    settings: dict[str, Any] = {}
    steps: list[StepDecl] = []
    for part in block.blocks:
        if part.keyword in ("input", "output"):
            continue
        if part.keyword in declared and part.name is None:
            _take_setting(part, declared[part.keyword], scope, settings, errors)
            continue
        kind = scope.catalog.find_at("steps", part.keyword, part.keyword_span)
        if kind is None:
            _unknown_word(part, scope.catalog, errors)
            continue
        step = _step(part, kind, scope, defaults, steps, errors)
        if step is not None:
            steps.append(step)
    for name, (span, expr) in defaults.items():
        if name in declared and name not in settings:
            found = setting_of(declared[name], span, expr, scope, errors)
            if found is not None:
                settings[name] = found
    return settings, steps


def _take_setting(part: Block, option: Option[Any], scope: Scope, into: dict[str, Any], errors: Errors) -> None:
    expr = expression_of(part, errors)
    if part.keyword in into:
        errors.add("duplicate-option", f"`{part.keyword}` is set twice", part.keyword_span, hint="keep one")
    if expr is not None:
        found = setting_of(option, part.keyword_span, expr, scope, errors)
        if found is not None and found.value is PER_JOB and part.keyword in SAME_FOR_ALL:
            message = f"`{part.keyword}` is the same for all targets of a rule: it cannot read wildcards"
            errors.add("bad-option", message, expr.span, hint="write a plain value")
        elif found is not None:
            into[part.keyword] = found


def _unknown_word(part: Block, catalog: Catalog, errors: Errors) -> None:
    known = [*catalog.names("steps"), "input", "output", *RuleSettings.declared()]
    near = nearest(part.keyword, known)
    hint = f"did you mean `{near}`?" if near else "`dreammake help` lists the steps"
    errors.add("unknown-step", f"there is no step `{part.keyword}`", part.keyword_span, hint=hint)


def _step(
    block: Block, kind: type[Step], scope: Scope, defaults: Defaults, earlier: list[StepDecl], errors: Errors
) -> StepDecl | None:
    if not _check_name(block, kind, scope.catalog, errors):
        return None
    declared = kind.options_for(block.name).declared()
    written = _written_options(block, kind, declared, errors)
    if not kind.asks_by or kind.asks_by in written:
        for name, (span, expr) in defaults.items():
            if name in declared and name not in written:
                written[name] = (span, expr)
    settings: dict[str, Setting] = {}
    for name, (span, expr) in written.items():
        shown = block.keyword if name == kind.value else name
        found = setting_of(declared[name], span, expr, scope, errors, shown)
        if found is not None:
            settings[name] = found
    for name, option in declared.items():
        if option.required and name not in written:
            message = f"`{block.keyword}` needs `{name}`: {option.doc}"
            hint = f"`dreammake help {block.keyword}` shows an example"
            errors.add("missing-option", message, block.keyword_span, hint=hint)
    label = f"{block.keyword} {block.name}" if block.name else block.keyword
    again = sum(step.label.split(" (")[0] == label for step in earlier)
    if again:
        label = f"{label} ({again + 1})"
    return StepDecl(block.keyword, block.name, kind, settings, block.span, label)


def _check_name(block: Block, kind: type[Step], catalog: Catalog, errors: Errors) -> bool:
    """Is the NAME there exactly where the step takes one?"""
    word, name = block.keyword, block.name
    if kind.named == "no" and name is not None:
        errors.add("bad-name", f"`{word}` takes no name", block.name_span, hint=f"write `{word}: ...`")
        return False
    if kind.named == "column" and name is None:
        hint = f"write `{word} NAME:` with the column that it writes"
        errors.add("missing-name", f"`{word}` needs the name of a column", block.keyword_span, hint=hint)
        return False
    if kind.named == "method":
        methods = catalog.names("trainers")
        if name is None:
            hint = f"write `{word} sft:`; known: {', '.join(methods)}"
            errors.add("missing-name", f"`{word}` needs a method", block.keyword_span, hint=hint)
            return False
        if name not in methods:
            hint = did_you_mean(name, methods)
            errors.add("unknown-method", f"there is no training method `{name}`", block.name_span, hint=hint)
            return False
    return True


def _written_options(
    block: Block, kind: type[Step], declared: Mapping[str, Option[Any]], errors: Errors
) -> dict[str, tuple[Span, Expr]]:
    """The options that a step's block writes: name -> (place, expression)."""
    written: dict[str, tuple[Span, Expr]] = {}
    if block.values:
        if kind.value is None:
            hint = "put its options in an indented block"
            errors.add(
                "bad-option", f"`{block.keyword}` takes no value after the colon", block.values[0].span, hint=hint
            )
        elif len(block.values) == 1:
            written[kind.value] = (block.values[0].span, block.values[0])
        else:
            span = block.values[0].span.to(block.values[-1].span)
            written[kind.value] = (span, Sequence(span, "list", block.values))
    gathered: list[tuple[Expr, Expr]] = []
    for part in block.blocks:
        if part.name is not None:
            errors.add("bad-option", "an option is `name: value`", part.span, hint=f"write `{part.keyword}: ...`")
            continue
        expr = _value_of(part, declared.get(part.keyword), errors)
        if expr is None:
            continue
        if part.keyword in declared and part.keyword != kind.block:
            if part.keyword in written:
                hint = "keep one of them"
                errors.add("duplicate-option", f"`{part.keyword}` is set twice", part.keyword_span, hint=hint)
            written[part.keyword] = (part.keyword_span, expr)
        elif kind.block is not None:
            gathered.append((Text(part.keyword_span, part.keyword, ()), expr))
        else:
            hint = did_you_mean(part.keyword, declared) or f"`dreammake help {block.keyword}` shows them"
            word = f"{block.keyword} {block.name}" if kind.named == "method" else block.keyword
            message = f"`{word}` has no option `{part.keyword}`"
            errors.add("unknown-option", message, part.keyword_span, hint=hint)
    if gathered and kind.block is not None:
        written[kind.block] = (block.keyword_span, DictExpr(block.span, tuple(gathered)))
    return written


def _value_of(part: Block, option: Option[Any] | None, errors: Errors) -> Expr | None:
    if isinstance(option, DictOption) and not part.values and not part.blocks:
        return DictExpr(part.span, ())
    return expression_of(part, errors)


def _check_order(block: Block, outputs: list[OutputDecl], steps: list[StepDecl], errors: Errors) -> None:
    if steps and not outputs:
        hint = 'add `output: "data/name"`'
        errors.add("missing-output", f"the rule `{block.name}` has steps but no output", block.span, hint=hint)
    if outputs and not steps:
        errors.add("no-steps", f"nothing makes the outputs of `{block.name}`", block.span, hint="add a step")
    for at, step in enumerate(steps):
        if step.kind.source and at:
            message = f"`{step.word}` makes rows of its own, so it stands first"
            errors.add("step-order", message, step.span, hint="put it in a rule of its own, and `concat` or `join` it")
        if step.kind.last and at < len(steps) - 1:
            message = f"`{step.word}` makes the target itself, so it stands last"
            errors.add("step-order", message, step.span, hint="put what follows in a rule of its own")
    if len(outputs) > 1 and steps and not steps[-1].kind.last:
        hint = "only `split`, `shell` and `python` make several"
        errors.add(
            "bad-output", "these steps make one dataset, but there are several outputs", outputs[1].span, hint=hint
        )
