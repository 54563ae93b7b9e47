"""f-strings: texts and holes in turn. Path patterns find their holes the same way."""

from __future__ import annotations

import re
from collections.abc import Callable

from dreammake.core.span import Source, Span
from dreammake.lang.syntax import Expr, FormatText, Hole, Text
from dreammake.lang.syntax_errors import Misread
from dreammake.lang.text_literal import Raw, unescape

Parse = Callable[[str, Callable[[int], int]], Expr]
"""Parses an expression; the second argument maps offsets in its text to offsets in the source."""

_STOPS = re.compile(r"""["'\[\](){}:!=]""")
_QUOTED = re.compile(r"""(?s)\"\"\".*?\"\"\"|'''.*?'''|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'""")
_LITERAL_END = re.compile(r"\{\{|\}\}|[{}]")
_MAX_NESTED = 2
"""A format spec may have holes, whose specs may have none."""


def read_format_text(raw: Raw, source: Source, span: Span, parse: Parse) -> FormatText:
    """The parts of an f-string. Raises Misread with offsets of the source."""
    parts, _ = _parts(raw, 0, source, parse, nested=0)
    return FormatText(span, tuple(parts))


def end_of_hole(text: str, at: int, stops: str) -> int | None:
    """The offset of the first of the characters `stops` that stands in no bracket and no string, from `at` on.

    None where the text ends first. `!=` and `==` are no stops.
    """
    depth = 0
    while (match := _STOPS.search(text, at)) is not None:
        at, character = match.start(), match.group()
        if character in "\"'":
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                return None
            at = quoted.end()
            continue
        if depth == 0 and character in stops:
            compared = text[at : at + 2] in ("!=", "==") or (character == "=" and text[at - 1] in "<>!=")
            if not compared:
                return at
            at += 2
            continue
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth < 0:
                return None
        at += 1
    return None


def _parts(raw: Raw, at: int, source: Source, parse: Parse, nested: int) -> tuple[list[Text | Hole], int]:
    """Texts and holes from `at` to the end, or in a format spec to its `}`; and where they end."""
    parts: list[Text | Hole] = []
    text, begin = raw.text, at
    while True:
        match = _LITERAL_END.search(text, at)
        if match is None or (nested and match.group()[0] == "}"):
            end = len(text) if match is None else match.start()
            _add_text(parts, raw, begin, end, source)
            return parts, end
        if len(match.group()) == 2 and not nested:
            at = match.end()
            continue
        _add_text(parts, raw, begin, match.start(), source)
        if match.group()[0] == "}":
            place = raw.origin(match.start())
            raise Misread("bad-format", "a single `}` in an f-string", place, place + 1, hint="write `}}` for a brace")
        hole, at = _hole(raw, match.start(), source, parse, nested)
        parts.append(hole)
        begin = at


def _add_text(parts: list[Text | Hole], raw: Raw, a: int, b: int, source: Source) -> None:
    if a < b:
        value, origins = unescape(raw, a, b, braces=True)
        parts.append(Text(Span(source, raw.origin(a), raw.origin(b - 1) + 1), value, tuple(origins)))


def _hole(raw: Raw, opener: int, source: Source, parse: Parse, nested: int) -> tuple[Hole, int]:
    """The hole whose `{` is at `opener`, and the offset behind its `}`."""
    text, place = raw.text, raw.origin(opener)
    if nested >= _MAX_NESTED:
        raise Misread("bad-format", "a hole in a hole in a hole", place, place + 1)
    end = end_of_hole(text, opener + 1, "}:!=")
    if end is None:
        hint = "close it with `}`, write `{{` for a brace; inside a hole, use the other kind of quotes"
        raise Misread("unclosed", "`{` is never closed in this f-string", place, place + 1, hint=hint)
    inside = text[opener + 1 : end]
    if not inside.strip():
        hint = "write an expression between the braces, or `{{` and `}}` for braces"
        raise Misread("bad-format", "an empty hole in an f-string", place, place + 1, hint=hint)
    if text[end] == "=":
        sign = raw.origin(end)
        raise Misread("bad-format", "dreammake has no `{name=}`", sign, sign + 1, hint="delete the `=`")
    value = parse(inside, lambda offset: raw.origin(opener + 1 + offset))
    conversion, spec = "", None
    if text[end] == "!":
        conversion, end = text[end + 1 : end + 2], end + 2
        if conversion not in ("r", "s", "a") or text[end : end + 1] not in ("}", ":"):
            sign = raw.origin(end - 2)
            raise Misread("bad-format", "after `!` in a hole stands r, s or a", sign, sign + 1)
    if text[end] == ":":
        parts, last = _parts(raw, end + 1, source, parse, nested + 1)
        if last >= len(text):
            raise Misread("unclosed", "`{` is never closed in this f-string", place, place + 1)
        spec = FormatText(Span(source, raw.origin(end), raw.origin(last)), tuple(parts))
        end = last
    span = Span(source, place, raw.origin(end) + 1)
    return Hole(span, value, conversion, spec), end + 1
