"""Path patterns in expressions: strings of `input` get their holes, and `expand` becomes a comprehension."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, cast

from dreammake.core.diagnostic import fail
from dreammake.lang.dreamfile import OutputDecl
from dreammake.lang.pattern import parse_pattern
from dreammake.lang.syntax import (
    Call,
    Comprehension,
    Expr,
    For,
    FormatText,
    Hole,
    Name,
    Node,
    Pattern,
    PatternHole,
    Text,
)


def with_holes(expr: Expr) -> Expr:
    """The expression of an input: every text in it is a pattern whose holes are filled from the wildcards."""
    if isinstance(expr, Text):
        return _filled(expr)
    return cast(Expr, _rewrite(expr, texts=True))


def with_expand(expr: Expr) -> Expr:
    """An expression elsewhere: texts stay, only `expand(...)` is read."""
    return cast(Expr, _rewrite(expr, texts=False))


def _filled(text: Text) -> Expr:
    if "{" not in text.value and "}" not in text.value:
        return text
    pattern = parse_pattern(text, declares=False)
    parts: list[Text | Hole] = []
    for part in pattern.parts:
        if isinstance(part, str):
            parts.append(Text(text.span, part, ()))
        else:
            parts.append(Hole(part.span, part.value))
    return FormatText(text.span, tuple(parts))


def _rewrite(value: Any, *, texts: bool) -> Any:
    """A copy of a tree with patterns filled and `expand` calls spelt out; the tree itself where nothing changes."""
    if isinstance(value, Text):
        return _filled(value) if texts else value
    if isinstance(value, tuple):
        items = tuple(_rewrite(item, texts=texts) for item in value)
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, Call) and isinstance(value.function, Name):
        if value.function.id == "expand":
            return _expanded(value, texts=texts)
        if value.function.id in ("glob", "column", "read"):
            return value
    if isinstance(value, FormatText) or not isinstance(value, Node | For):
        return value
    changes = {}
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        if isinstance(old, Node | For | tuple) and field.name != "span":
            new = _rewrite(old, texts=texts)
            if new is not old:
                changes[field.name] = new
    return dataclasses.replace(value, **changes) if changes else value


def _expanded(call: Call, *, texts: bool) -> Expr:
    """`expand("d/{a}/{b}", a=A, b=B)` is `[f"d/{a}/{b}" for a in A for b in B]`."""
    if len(call.args) != 1 or not call.kwargs or any(name == "**" for name, _ in call.kwargs):
        hint = 'write `expand("data/{name}", name=["a", "b"])`'
        fail("bad-expression", "`expand` takes one pattern and lists by name", call.span, hint=hint)
    pattern = call.args[0]
    filled = _filled(pattern) if isinstance(pattern, Text) else pattern
    clauses = tuple(
        For((name,), Call(items.span, Name(items.span, "_each"), (_rewrite(items, texts=False),), ()), ())
        for name, items in call.kwargs
    )
    return Comprehension(call.span, "list", None, filled, clauses)


def output_of(pattern: Pattern, name: str | None, *, temp: bool, protected: bool) -> OutputDecl:
    """An output pattern, ready to match paths and to be filled."""
    parts: list[str | tuple[str, str]] = []
    regex = ""
    seen: set[str] = set()
    for part in pattern.parts:
        if isinstance(part, str):
            parts.append(part)
            regex += re.escape(part)
            continue
        wildcard, constraint = _wildcard(part)
        parts.append((wildcard, constraint))
        if wildcard in seen:
            regex += f"(?P={wildcard})"
        else:
            seen.add(wildcard)
            # A whole number is written in one way only, so that a path and its wildcard stand for each other.
            regex += f"(?P<{wildcard}>{'0|-?[1-9][0-9]*' if constraint == 'int' else constraint or '[^/]+'})"
    text = "".join(part if isinstance(part, str) else "{" + ":".join(filter(None, part)) + "}" for part in parts)
    prefix = parts[0] if parts and isinstance(parts[0], str) else ""
    literal = prefix if not seen else None
    compiled = re.compile(regex) if seen else None
    return OutputDecl(name, pattern.span, text, literal, prefix, compiled, tuple(parts), temp, protected)


def _wildcard(hole: PatternHole) -> tuple[str, str]:
    if not isinstance(hole.value, Name):
        fail(
            "bad-pattern",
            "a hole in an output is the name of a wildcard",
            hole.span,
            hint="compute with wildcards in the inputs: `{r - 1}` there, `{r:int}` here",
        )
    return hole.value.id, hole.constraint or ""
