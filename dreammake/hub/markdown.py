"""Pieces of Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any


def code(value: Any) -> str:
    """A value as code within a line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    mark = "``" if "`" in text else "`"
    return f"{mark}{text}{mark}" if text.strip("`") == text else f"{mark} {text} {mark}"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fenced(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any in the text."""
    longest = max((len(found) for found in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def cell(text: str) -> str:
    """A text that a table can hold."""
    return text.replace("|", "\\|").replace("\n", " ")


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
