"""Where in the Dreamfile something in a template stands: Jinja2 knows lines only."""

from __future__ import annotations

import re

from dreammake.core.span import Span
from dreammake.lang.syntax import Text

_TAG = re.compile(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def place_in(text: Text, start: int, end: int) -> Span:
    """The span of `value[start:end]`; the whole text where it was computed, and has no origins."""
    return text.place(start, end) if text.origins else text.span


def find_name(text: Text, name: str, line: int) -> Span:
    """The first place of a name in a tag, from a line of the template (counted from 1) on."""
    pattern = re.compile(rf"(?<![\w.\"']){re.escape(name)}(?!\w)")
    begin = _line_start(text.value, line)
    for tag in _TAG.finditer(text.value):
        if tag.end() > begin and not tag.group().startswith("{#"):
            found = pattern.search(text.value, max(begin, tag.start()), tag.end())
            if found is not None:
                return place_in(text, *found.span())
    return text.span


def wrong_part(value: str, line: int) -> tuple[int, int]:
    """The tag that stands in a line, or the line without its white space."""
    start = _line_start(value, line)
    end = value.find("\n", start)
    end = len(value) if end < 0 else end
    for tag in _TAG.finditer(value):
        if start < tag.end() and tag.start() < end:
            return tag.span()
    opener = re.compile(r"\{[{%#]").search(value, start, end)
    if opener is not None:
        return opener.start(), end
    bare = value[start:end]
    start += len(bare) - len(bare.lstrip())
    return start, max(start + 1, start + len(bare.strip()))


def _line_start(value: str, line: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = value.find("\n", start) + 1
    return start
