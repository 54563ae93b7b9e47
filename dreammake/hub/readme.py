"""The README of a repository: the YAML, what people write, and between two marks what dreammake writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.hub.front_matter import front_matter, merged, split_front_matter

BEGIN = "<!-- dreammake: from here to the end mark, `dreammake publish` writes anew; write before it or after it -->"
END = "<!-- dreammake: end -->"
_BEGIN_WORDS = "<!-- dreammake: from here"


def readme(
    title: str, values: Mapping[str, Any], text: str, there: str | None = None, before: Mapping[str, Any] | None = None
) -> str:
    """The whole README. `there` is the one on the Hub, `before` the YAML values that were published last: what people
    wrote outside the marks, and what they changed in the YAML, stays."""
    section = f"{BEGIN}\n\n{text.strip().replace('<!-- dreammake:', '<!-- dreammake ')}\n\n{END}"
    if there is None or not there.strip():
        return f"{front_matter(values)}\n# {title}\n\n{section}\n"
    theirs, body = split_front_matter(there)
    return front_matter(merged(values, theirs, before or {})) + _with_section(body, section)


def _with_section(body: str, section: str) -> str:
    """The body with the section in the place of its old one, or at its end."""
    start = body.find(_BEGIN_WORDS)
    end = body.rfind(END)
    if start < 0 or end < start:
        return f"{body.rstrip()}\n\n{section}\n"
    return body[:start] + section + body[end + len(END) :]
