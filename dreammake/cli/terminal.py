"""What is known of the terminal: its width, whether it shows colours, and the display that suits it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from dreammake.display.style import Style, is_terminal, wants_colour

if TYPE_CHECKING:
    from dreammake.display.port import Display


def colour_of(stream: TextIO) -> bool:
    return wants_colour(stream, os.environ)


def style_of(stream: TextIO) -> Style:
    return Style(colour_of(stream))


def width_of(stream: TextIO) -> int:
    """Cells a line: the terminal's width, or 120 where there is none."""
    return shutil.get_terminal_size((120, 24)).columns if is_terminal(stream) else 120


def display_of(stream: TextIO, *, as_json: bool) -> Display:
    """What shows a build: JSON lines, the live display of a terminal, or plain lines."""
    if as_json:
        from dreammake.display.json_lines import JsonLinesDisplay

        return JsonLinesDisplay(stream)
    if is_terminal(stream):
        from dreammake.display.live import LiveDisplay

        return LiveDisplay(stream, colour=colour_of(stream))
    from dreammake.display.plain import PlainDisplay

    return PlainDisplay(stream, colour=colour_of(stream), width=width_of(stream))


def say_waiting(holder: Mapping[str, Any]) -> None:
    """Tell whose build this one waits for."""
    from dreammake.session.locking import waiting_words

    print(waiting_words(holder), file=sys.stderr, flush=True)
