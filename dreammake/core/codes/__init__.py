"""Every error code has a page beside this file, `CODE.md`: its first line is a title, the rest an explanation."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).parent


def codes() -> list[str]:
    """All codes, sorted."""
    return sorted(file[:-3] for file in os.listdir(_FOLDER) if file.endswith(".md"))


def page(code: str) -> str | None:
    """The page of a code, or None if there is no such code."""
    file = _FOLDER / f"{code}.md"
    return file.read_text(encoding="utf-8") if code in codes() else None
