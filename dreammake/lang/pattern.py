"""Path patterns: the strings of `input` and `output`, with wildcards and expressions in braces."""

from __future__ import annotations

import re
from typing import NoReturn

from dreammake.core.diagnostic import fail
from dreammake.core.span import Span
from dreammake.lang.format_text import end_of_hole
from dreammake.lang.parser import parse_hole
from dreammake.lang.syntax import Name, Pattern, PatternHole, Text
from dreammake.lang.template_places import place_in

_BRACE = re.compile(r"\{\{|\}\}|[{}]")
_NAMED = re.compile(r"\s*([^\W\d]\w*)\s*(?::(.*))?", re.DOTALL)
_FORMAT_SPEC = re.compile(r"[<>=^+]?0?\d*[dsxof]|\.\d+f")
_MAX_CONSTRAINT = 200
_MAX_REPEATS = 4


def parse_pattern(text: Text, declares: bool) -> Pattern:
    """The parts of a path. Raises DreamError.

    In an output (`declares`), a hole is a wildcard's name, maybe with a constraint: `{r:int}`, `{lang:[a-z]{2}}`.
    In an input it is an expression, or the same. A text without `origins` (one that was computed) is shown as a
    whole where something in it is wrong.
    """
    parts: list[str | PatternHole] = []
    value, at, literal = text.value, 0, ""
    while (match := _BRACE.search(value, at)) is not None:
        literal += value[at : match.start()]
        brace, at = match.group(), match.end()
        if len(brace) == 2:
            literal += brace[0]
        elif brace == "}":
            hint = "write `}}` for a brace that belongs to the path"
            fail("bad-pattern", "a `}` that closes nothing in a path", place_in(text, match.start(), at), hint=hint)
        else:
            if literal:
                parts.append(literal)
                literal = ""
            hole, at = _declared(text, match.start()) if declares else _used(text, match.start())
            parts.append(hole)
    literal += value[at:]
    if literal:
        parts.append(literal)
    return Pattern(text.span, tuple(parts))


def _declared(text: Text, opener: int) -> tuple[PatternHole, int]:
    """The wildcard whose `{` is at `opener`, and the offset behind its `}`."""
    end = _balanced_end(text.value, opener + 1)
    if end is None:
        _unclosed(text, opener)
    span = place_in(text, opener, end + 1)
    match = _NAMED.fullmatch(text.value, opener + 1, end)
    if match is None:
        inside = text.value[opener + 1 : end].strip()
        message = f"`{inside}` is no name for a wildcard" if inside else "a wildcard without a name"
        hint = "in an output, braces hold a name, or a name and a constraint: `{r:int}`; write `{{` for a brace"
        fail("bad-pattern", message, span, hint=hint)
    return _named(text, match, span), end + 1


def _used(text: Text, opener: int) -> tuple[PatternHole, int]:
    """The expression whose `{` is at `opener`, and the offset behind its `}`."""
    value = text.value
    end = end_of_hole(value, opener + 1, "}:")
    if end is not None and value[end] == ":":
        closed = _balanced_end(value, opener + 1)
        match = _NAMED.fullmatch(value, opener + 1, closed) if closed is not None else None
        if closed is not None and match is not None:
            return _named(text, match, place_in(text, opener, closed + 1)), closed + 1
        hint = 'in an input, braces hold an expression: `{r - 1}`; `f"…"` can format: `f"{n:02d}"`'
        fail("bad-pattern", "a `:` in the braces of a path", place_in(text, end, end + 1), hint=hint)
    if end is None:
        _unclosed(text, opener)
    if not value[opener + 1 : end].strip():
        hint = "put an expression between the braces, or write `{{` and `}}` for braces"
        fail("bad-pattern", "empty braces in a path", place_in(text, opener, end + 1), hint=hint)
    start = opener + 1

    def locate(at: int) -> int:
        return text.place(start + at, start + at + 1).start if text.origins else text.span.start

    expr = parse_hole(value[start:end], text.span.source, locate)
    return PatternHole(place_in(text, opener, end + 1), expr), end + 1


def _unclosed(text: Text, opener: int) -> NoReturn:
    hint = "close it with `}`, or write `{{` for a brace that belongs to the path"
    fail("bad-pattern", "`{` is never closed in this path", place_in(text, opener, opener + 1), hint=hint)


def _balanced_end(value: str, at: int) -> int | None:
    """The offset of the `}` that closes a hole; braces inside balance, and a backslash takes one out of the count."""
    depth = 0
    while at < len(value):
        character = value[at]
        if character == "\\":
            at += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return None


def _named(text: Text, match: re.Match[str], span: Span) -> PatternHole:
    name, constraint = match.group(1), match.group(2)
    value = Name(place_in(text, *match.span(1)), name)
    if constraint is None:
        return PatternHole(span, value)
    place = place_in(text, *match.span(2)) if constraint else span
    constraint = constraint.strip()
    if constraint != "int":
        _check_constraint(constraint, name, place)
    return PatternHole(span, value, constraint)


def _check_constraint(constraint: str, name: str, place: Span) -> None:
    """Refuse a regex that is none, or that can take for ever to match."""
    if not constraint:
        fail("bad-pattern", f"no constraint behind `{name}:`", place, hint=f"write `{{{name}}}`, or `{{{name}:int}}`")
    if _FORMAT_SPEC.fullmatch(constraint):
        hint = f"`{{{name}:int}}` matches whole numbers; digits of a fixed width are `{{{name}:[0-9]{{2}}}}`"
        fail("bad-pattern", f"`{constraint}` is a format, and this is a place for a regex", place, hint=hint)
    if len(constraint) > _MAX_CONSTRAINT:
        fail("bad-pattern", f"a constraint with more than {_MAX_CONSTRAINT} characters", place)
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(constraint)
            why = _slow_part(constraint)
    except (re.error, OverflowError, RecursionError) as error:
        reason = getattr(error, "msg", "it is too large")
        fail("bad-pattern", f"`{constraint}` is no regex: {reason}", place)
    if why:
        hint = "a constraint is classes, words and alternatives, each repeated at most once: `[a-z0-9-]+`"
        fail("bad-pattern", f"a constraint must not have {why}", place, hint=hint)


def _slow_part(constraint: str) -> str:
    """What in a valid regex can make matching slow, or match something else than its text; or nothing."""
    if re.search(r"\(\?(?!:)|\\[1-9AZbB]|(?<!\\)[\^$](?![^\[]*\])", constraint):
        return "anchors, flags, look-around, named groups or references"
    if constraint.count("+") + constraint.count("*") + constraint.count(",}") > _MAX_REPEATS:
        return f"more than {_MAX_REPEATS} open repeats"
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", constraint)
    inner = bare
    while (group := re.search(r"\((?:\?:)?([^()]*)\)(\*|\+|\?|\{[^}]*\})?", inner)) is not None:
        if group.group(2) not in (None, "?") and re.search(r"[*+?|]|\{", group.group(1)):
            return "a repeat of a part that itself repeats or chooses"
        marked = "x" + ("+" if re.search(r"[*+]|\{", group.group(1)) else "|" if "|" in group.group(1) else "")
        inner = inner[: group.start()] + marked + (group.group(2) or "") + inner[group.end() :]
    return ""
