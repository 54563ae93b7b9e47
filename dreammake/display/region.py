"""Some lines at the bottom of a terminal that are redrawn in place, while finished lines scroll above them.

Own code and not rich's Live: a frame is one write with no thread, it survives a narrower window, and a thousand
finished lines cost one redraw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dreammake.display.cells import cells
from dreammake.display.stream import QuietStream

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
"""Terminals that know synchronized output show a frame at once; others ignore these."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A line on the terminal: `plain` is what is seen, `painted` the same with colours."""

    plain: str
    painted: str


class Region:
    """Redraws lines in place. `size` gives the terminal's columns and rows of now.

    The cursor rests at the end of the last line; every line is shorter than the terminal is wide, so that none
    wraps unless the window gets narrower.
    """

    def __init__(self, stream: QuietStream, size: Callable[[], tuple[int, int]]) -> None:
        self._stream = stream
        self._size = size
        self._drawn: list[int] = []
        """Cells of each line on the screen."""

    def draw(self, above: Sequence[str], lines: Sequence[Painted]) -> None:
        """Write `above` where the region stood, for good, and the region's new lines below."""
        parts = [_BEGIN, _HIDE if lines else "", self._up(), "\x1b[J" if above else ""]
        parts += [line + "\r\n" for text in above for line in text.split("\n")]
        parts.append("\r\n".join(f"{line.painted}\x1b[K" for line in lines))
        parts += ["\x1b[J", _SHOW if not lines else "", _END]
        self._stream.write("".join(parts))
        self._drawn = [cells(line.plain) for line in lines]

    def _up(self) -> str:
        """To the first cell of the region: a line drawn wider than the window is now takes several rows."""
        if not self._drawn:
            return "\r"
        columns = max(1, self._size()[0])
        rows = sum(max(1, -(-drawn // columns)) for drawn in self._drawn)
        return f"\r\x1b[{rows - 1}A" if rows > 1 else "\r"
