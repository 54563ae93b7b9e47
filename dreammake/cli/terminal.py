"""What is known of the terminal: its width, and whether it shows colours."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

from dreammake.display.style import Style, is_terminal, wants_colour


def colour_of(stream: TextIO) -> bool:
    return wants_colour(stream, os.environ)


def style_of(stream: TextIO) -> Style:
    return Style(colour_of(stream))


def width_of(stream: TextIO) -> int:
    """Cells a line: the terminal's width, or 120 where there is none."""
    return shutil.get_terminal_size((120, 24)).columns if is_terminal(stream) else 120
