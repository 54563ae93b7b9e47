"""What a string literal says: its quotes taken off, dedented, its escapes read, and where each character came from.

A triple-quoted text loses the white space that all its lines begin with (the first line aside), and the blank lines
and white space around it. This happens before escapes are read, so an escaped `\\n` at its end stays.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from dreammake.lang.syntax_errors import Misread

Origins = list[tuple[int, int]]
_LITERAL = re.compile(r"([A-Za-z]*)(\"\"\"|'''|\"|')")
_LINE = re.compile(r"[^\n]*\n?")
_ESCAPE = re.compile(
    r"\\(?:(?P<newline>\n)|(?P<simple>[\\'\"abfnrtv])|(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9a-fA-F]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|N\{(?P<name>[^}]*)\}|(?P<wrong>[xuUN]))"
)
_SIMPLE = dict(zip("\\'\"abfnrtv", "\\'\"\a\b\f\n\r\t\v", strict=True))
_ENDS_IN_CONTINUATION = re.compile(r"(?<!\\)(?:\\\\)*\\\r?\n\s*\Z")
_BRACE = re.compile(r"\{\{|\}\}")


@dataclass(frozen=True, slots=True)
class Raw:
    """The inside of a string literal, dedented, with its escapes unread. `origins` as in `syntax.Text`."""

    text: str
    origins: Origins
    is_raw: bool
    is_format: bool

    def origin(self, offset: int) -> int:
        return origin_of(self.origins, offset)


def origin_of(origins: Origins, offset: int) -> int:
    """The source offset behind a value offset."""
    at, source = origins[max(0, bisect_right(origins, (offset, 1 << 62)) - 1)]
    return source + offset - at


def read_raw(literal: str, start: int) -> Raw:
    """The inside of a literal that begins at the source offset `start`. Raises Misread for an unknown prefix."""
    match = _LITERAL.match(literal)
    assert match is not None
    prefix, quote = match.group(1).lower(), match.group(2)
    if "b" in prefix:
        raise Misread("unsupported", "dreammake has no bytes", start, start + len(prefix), hint="delete the `b`")
    if prefix not in ("", "r", "f", "fr", "rf", "u"):
        raise Misread("unsupported", f"no text begins with `{prefix}`", start, start + len(prefix))
    body, start = literal[match.end() : -len(quote)], start + match.end()
    text, origins = _dedent(body, start) if len(quote) == 3 else _normal_line_ends(body, start)
    if len(quote) == 3 and "r" not in prefix and _ENDS_IN_CONTINUATION.search(body) and text.endswith("\\"):
        text = text[:-1]
    return Raw(text, origins, "r" in prefix, "f" in prefix)


def _normal_line_ends(body: str, start: int) -> tuple[str, Origins]:
    if "\r" not in body:
        return body, [(0, start)]
    return _join([(body[a:b], start + a) for a, b in _without_returns(body, 0, len(body))])


def _dedent(body: str, start: int) -> tuple[str, Origins]:
    if "\n" not in body:
        first = len(body) - len(body.lstrip())
        return body.strip(), [(0, start + first)]
    lines = [match.span() for match in _LINE.finditer(body) if match.group()]
    margin = _margin([body[a:b] for a, b in lines[1:]])
    pieces: list[tuple[str, int]] = []
    for number, (a, b) in enumerate(lines):
        line = body[a:b]
        if number and not line.strip():
            a = b - 1 if line.endswith("\n") else b
        elif number:
            a += margin
        pieces += [(body[c:d], start + c) for c, d in _without_returns(body, a, b)]
    return _join(_strip(pieces))


def _margin(lines: list[str]) -> int:
    """How many white characters all lines that are not blank begin with in common."""
    margin: str | None = None
    for line in lines:
        if line.strip():
            white = line[: len(line) - len(line.lstrip(" \t"))]
            if margin is None:
                margin = white
            while not white.startswith(margin):
                margin = margin[:-1]
    return len(margin or "")


def _without_returns(body: str, a: int, b: int) -> list[tuple[int, int]]:
    """The ranges of `body[a:b]` with each "\\r\\n" as "\\n"."""
    ranges = []
    while (at := body.find("\r\n", a, b)) >= 0:
        ranges.append((a, at))
        a = at + 1
    return [*ranges, (a, b)]


def _strip(pieces: list[tuple[str, int]]) -> list[tuple[str, int]]:
    while pieces and not pieces[-1][0].strip():
        pieces.pop()
    if pieces:
        pieces[-1] = pieces[-1][0].rstrip(), pieces[-1][1]
    first = 0
    while first < len(pieces) and not pieces[first][0].strip():
        first += 1
    pieces = pieces[first:]
    if pieces:
        text, at = pieces[0]
        pieces[0] = text.lstrip(), at + len(text) - len(text.lstrip())
    return pieces


def _join(pieces: list[tuple[str, int]]) -> tuple[str, Origins]:
    """The pieces' text, with a pair where the distance to the source changes."""
    origins: Origins = []
    length, distance = 0, None
    for text, at in pieces:
        if text:
            if at - length != distance:
                distance = at - length
                origins.append((length, at))
            length += len(text)
    return "".join(text for text, _ in pieces), origins or [(0, pieces[0][1] if pieces else 0)]


def unescape(raw: Raw, a: int, b: int, *, braces: bool = False) -> tuple[str, Origins]:
    """What `raw.text[a:b]` says. With `braces`, `{{` and `}}` stand for one. Raises Misread for a wrong escape."""
    text = raw.text
    if (raw.is_raw or text.find("\\", a, b) < 0) and not braces:
        return text[a:b], _shifted(raw, a, b)
    pieces: list[tuple[str, int]] = []
    at = a
    while at < b:
        escape = None if raw.is_raw else _next(_ESCAPE, text, at, b)
        brace = _next(_BRACE, text, at, b) if braces else None
        match = min((m for m in (escape, brace) if m), key=lambda m: m.start(), default=None)
        if match is None:
            break
        pieces += _plain(raw, at, match.start())
        said = match.group()[0] if match is brace else _said(match, raw)
        pieces.append((said, raw.origin(match.start())))
        at = match.end()
    return _join(pieces + _plain(raw, at, b))


def _next(pattern: re.Pattern[str], text: str, at: int, end: int) -> re.Match[str] | None:
    return pattern.search(text, at, end)


def _plain(raw: Raw, a: int, b: int) -> list[tuple[str, int]]:
    """`raw.text[a:b]` cut where its distance to the source changes."""
    cuts = [a, *(at for at, _ in raw.origins if a < at < b), b]
    return [(raw.text[c:d], raw.origin(c)) for c, d in pairwise(cuts)]


def _shifted(raw: Raw, a: int, b: int) -> Origins:
    if a == 0:
        return raw.origins
    return _join(_plain(raw, a, b))[1]


def _said(match: re.Match[str], raw: Raw) -> str:
    kind, digits = match.lastgroup, match.group(match.lastgroup or 0)

    def bad(why: str) -> Misread:
        start = raw.origin(match.start())
        return Misread("bad-escape", why, start, start + len(match.group()), hint="write `\\\\` for a backslash")

    if kind == "newline":
        return ""
    if kind == "simple":
        return _SIMPLE[digits]
    if kind == "name":
        import unicodedata

        try:
            return unicodedata.lookup(digits)
        except KeyError:
            raise bad(f"no character has the name {digits}") from None
    if kind == "wrong":
        raise bad(f"`\\{digits}` needs {'a name in braces' if digits == 'N' else 'hexadecimal digits'} after it")
    code = int(digits, 8 if kind == "octal" else 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise bad("no character has this number")
    return chr(code)
