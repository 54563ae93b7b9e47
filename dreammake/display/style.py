"""Colours for a terminal, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36}


@dataclass(frozen=True, slots=True)
class Style:
    """Paints text with ANSI codes; without `colour` it leaves text as it is."""

    colour: bool

    def paint(self, text: str, *looks: str) -> str:
        """`paint("no", "bold", "red")`; looks are bold, dim, red, green, yellow, blue, cyan."""
        if not self.colour or not text:
            return text
        codes = ";".join(str(_CODES[look]) for look in looks)
        return f"\x1b[{codes}m{text}\x1b[0m"


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream gets colours. NO_COLOR says no, FORCE_COLOR yes (`0`: no); else a terminal that is not dumb."""
    if environment.get("NO_COLOR"):
        return False
    force = environment.get("FORCE_COLOR")
    if force:
        return force != "0"
    return is_terminal(stream) and environment.get("TERM") != "dumb"


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sees the stream. A closed one is none."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
