"""The bottom of a terminal, on rich's Live: a grid of running jobs redrawn in place, while finished lines scroll above.

This module imports rich: import it only where a person watches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, cast

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment
from rich.table import Table
from rich.text import Text

from dreammake.display.stream import QuietStream

_BAR = 8, 20
"""Fewest and most cells of a bar."""
_GAP = 2
_LEFT_OUT_FIRST = 1, 2, 3, 0
"""Columns of `Row.words`, the least telling first."""


@dataclass(frozen=True, slots=True)
class Row:
    """A running job: its name, how much is done (0 to 1, None: unknown), and one word a column, "" for none."""

    name: str
    share: float | None
    words: tuple[str, str, str, str]
    """What is done, the speed, prompts or a training's figures, the time left."""


class Region:
    """Draws in the caller's thread and only when asked. `size` gives the terminal's columns and rows of now."""

    def __init__(self, stream: QuietStream, *, colour: bool, size: Callable[[], tuple[int, int]]) -> None:
        self._size = size
        self._console = Console(
            file=cast(IO[str], _Screen(stream)),
            force_terminal=True,
            force_jupyter=False,
            color_system="standard" if colour else None,
            markup=False,
            emoji=False,
            highlight=False,
        )
        self._live: Live | None = None
        self._frame: RenderableType = ""

    def __rich__(self) -> RenderableType:
        """What Live draws: the frame of now, also below a print, without a refresh."""
        return self._frame

    def draw(self, above: Sequence[str], rows: Sequence[Row], more: str, footer: str) -> None:
        """Print `above` for good, and redraw below it: the rows, `more` if it says anything, the footer."""
        with self._console:
            self._take_size()
            self._frame = _frame(rows, more, footer, self._console.width)
            if not self._live:
                # Without a thread, as the build forks; without redirection, as a worker would inherit it.
                self._live = Live(
                    self,
                    console=self._console,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()
            if above:
                self._print(above)
            else:
                self._live.refresh()

    def end(self, above: Sequence[str]) -> None:
        """Print `above`, and leave nothing below it."""
        with self._console:
            self._take_size()
            self._frame = ""
            if above:
                self._print(above)
            if self._live:
                self._live.stop()
                self._live = None

    def _print(self, above: Sequence[str]) -> None:
        """All lines in one print, as rich redraws the region for each. Long lines are the terminal's to wrap."""
        self._console.print(Text.from_ansi("\n".join(above)), soft_wrap=True)

    def _take_size(self) -> None:
        """Live counts rows by the old width. In a window that is narrower now they wrapped: go up by these too.

        One column stays free, so that no line touches the edge.
        """
        columns, height = self._size()
        before, width = self._console.width, max(1, columns - 1)
        if self._live and width < before:
            lines = self._console.render_lines(self._frame, pad=False)
            wrapped = sum((max(1, Segment.get_line_length(line)) - 1) // max(1, columns) for line in lines)
            up = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)]
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *up * wrapped))
        self._console.size = (width, height)


class _Screen:
    """What rich needs of a file, and a stream that is quiet when its reader is gone."""

    def __init__(self, stream: QuietStream) -> None:
        self.encoding = stream.encoding
        self.write = stream.write

    def flush(self) -> None:
        """A quiet stream flushes what it writes."""


def _frame(rows: Sequence[Row], more: str, footer: str, width: int) -> RenderableType:
    def line(text: str, style: str) -> Text:
        return Text(text, style, no_wrap=True, overflow="ellipsis")

    parts: list[RenderableType] = [Padding.indent(_grid(rows, width - _GAP), _GAP)] if rows else []
    parts += [line(f"  {more}", "dim")] if more else []
    return Group(*parts, line(footer, "bold"))


def _grid(rows: Sequence[Row], width: int) -> Table:
    """`data/tweets  ━━━━━╺━━━━  412/1,000 rows  38 rows/s  400 asked, 12 cached  ~15 s left`: as many columns as
    fit, then the bar, then what is missing of a long name."""
    widths = [max(cell_len(word) for word in column) for column in zip(*(row.words for row in rows), strict=True)]
    kept = [number for number, wide in enumerate(widths) if wide]
    longest = max(cell_len(row.name) for row in rows)
    name = min(longest, max(8, width // 3))
    room = width - name - sum(widths[number] + _GAP for number in kept)
    for number in _LEFT_OUT_FIRST:
        if room < 0 and number in kept:
            kept.remove(number)
            room += widths[number] + _GAP
    bar = min(room - _GAP, _BAR[1]) if any(row.share is not None for row in rows) else 0
    room -= bar + _GAP if bar >= _BAR[0] else 0
    name = max(1, min(longest, name + room))
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(width=name, no_wrap=True)
    if bar >= _BAR[0]:
        grid.add_column(width=bar)
    for number in kept:
        grid.add_column(width=widths[number], no_wrap=True)
    for row in rows:
        bars = [_bar(row.share, bar)] if bar >= _BAR[0] else []
        grid.add_row(row.name, *bars, *(row.words[number] for number in kept))
    return grid


def _bar(share: float | None, width: int) -> RenderableType:
    if share is None:
        return ""
    return ProgressBar(1.0, share, width, style="dim", complete_style="cyan", finished_style="cyan")
