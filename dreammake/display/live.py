"""The live display: running jobs with their progress at the bottom of the terminal, finished ones above."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, TextIO

from dreammake.core.events import (
    BuildFinished,
    BuildStarted,
    Event,
    GraphGrew,
    JobFailed,
    JobFinished,
    JobFresh,
    JobProgress,
    JobStarted,
)
from dreammake.display.amounts import duration, rate
from dreammake.display.cells import one_line
from dreammake.display.stream import QuietStream
from dreammake.display.style import Style
from dreammake.display.wording import beginning, ending, facts, failure, measures, retry, unchanged

if TYPE_CHECKING:
    from dreammake.display.region import Row

FRAME = 0.1
"""Seconds between two redraws, at least."""
MOST_ROWS = 12


class LiveDisplay:
    """Redraws only in `event`, `tick` and `close`, in the caller's thread: a build forks its workers.

    `size` gives the terminal's columns and rows; `clock` counts seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        colour: bool = True,
        clock: Callable[[], float] = time.monotonic,
        size: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        from dreammake.display.region import Region

        quiet = QuietStream(stream)
        self._style = Style(colour)
        self._clock = clock
        self._size = size or (lambda: _terminal_size(stream))
        self._region = Region(quiet, colour=colour, size=self._size)
        self._good, self._bad = ("✓", "✗") if quiet.can_write("✓✗") else ("+", "x")
        self._running: dict[str, _Running] = {}
        self._above: list[str] = []
        self._total = self._done = self._failed = 0
        self._began = clock()
        self._drawn_at = float("-inf")
        self._building = False

    def event(self, event: Event) -> None:
        self._take(event)
        if isinstance(event, BuildFinished):
            self.close()
        else:
            self._draw(now=isinstance(event, BuildStarted))

    def tick(self) -> None:
        self._draw()

    def close(self) -> None:
        self._region.end(self._above)
        self._above, self._building = [], False
        self._running.clear()

    def _take(self, event: Event) -> None:
        paint = self._style.paint
        match event:
            case BuildStarted(build, follow):
                self._total, self._began = build + follow, self._clock()
                self._done = self._failed = 0
                self._building = self._total > 0
                if self._building:
                    self._above.append(beginning(event))
            case JobStarted(target):
                self._running[target] = _Running(target, self._clock())
            case JobProgress(target, note=note) if note:
                self._above.append(f"{paint('note', 'dim')} {one_line(target)}  {one_line(note)}")
            case JobProgress(target) if target in self._running:
                self._running[target].take(event, self._clock())
            case JobFinished(target, seconds, changed):
                what = facts(event.facts) if changed else unchanged(event.facts)
                words = [f"{paint(self._good, 'green')} {one_line(target)}", *[what] * bool(what), duration(seconds)]
                self._end(target, "  ".join(words))
            case JobFailed(target, will_retry=True):
                self._running.pop(target, None)
                self._above.append(f"{paint('retry', 'yellow')} {one_line(target)}  {retry(event)}")
            case JobFailed(target):
                self._failed += 1
                text = failure(event, self._style, self._size()[0])
                self._end(target, f"{paint(f'{self._bad} {one_line(target)}', 'bold', 'red')}\n{text}")
            case JobFresh(target):
                self._done += 1
            case GraphGrew(jobs=jobs):
                self._total += jobs
            case BuildFinished(failed=failed):
                look = ("bold", "red") if failed or event.interrupted else ("bold", "green")
                self._above.append(paint(ending(event), *look))

    def _end(self, target: str, line: str) -> None:
        self._running.pop(target, None)
        self._done += 1
        self._above.append(line)

    def _draw(self, now: bool = False) -> None:
        clock = self._clock()
        if not self._building or (not now and clock - self._drawn_at < FRAME):
            return
        self._drawn_at = clock
        room = max(0, min(MOST_ROWS, self._size()[1] - 2))
        shown = len(self._running) if len(self._running) <= room else max(0, room - 1)
        rows = [job.row(clock) for job in islice(self._running.values(), shown)]
        left = len(self._running) - shown
        self._region.draw(self._above, rows, f"and {left:,} more running" if left and room else "", self._footer(clock))
        self._above = []

    def _footer(self, now: float) -> str:
        failed = f", {self._failed:,} failed" if self._failed else ""
        running = f"{len(self._running):,} running{failed}"
        return f"{self._done:,} of {self._total:,} done, {running}, {duration(now - self._began)}"


@dataclass(slots=True)
class _Running:
    """A job under way, and what it said last."""

    target: str
    began: float
    last: JobProgress | None = None
    seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=32))
    """Amounts done at times at least half a second apart, for the speed of now."""

    def take(self, event: JobProgress, now: float) -> None:
        other = self.last is not None and self.last.unit != event.unit
        if other or (self.seen and event.done < self.seen[-1][1]):
            self.seen.clear()
        self.last = event
        if not self.seen or now - self.seen[-1][0] >= 0.5:
            self.seen.append((now, event.done))

    @property
    def share(self) -> float | None:
        if self.last is None or not self.last.total:
            return None
        return min(1.0, max(0.0, self.last.done / self.last.total))

    def speed(self, now: float) -> float | None:
        """Units a second, over the last moments; None while it cannot be told."""
        if self.last is None or not self.seen:
            return None
        since, done = self.seen[0]
        return (self.last.done - done) / (now - since) if now - since >= 1 and self.last.done > done else None

    def row(self, now: float) -> Row:
        from dreammake.display.region import Row

        name, last, speed = one_line(self.target), self.last, self.speed(now)
        if last is None:
            return Row(name, None, (duration(now - self.began), "", "", ""))
        asked = [f"{last.prompts_asked:,} asked, {last.prompts_cached:,} cached"]
        to_do = last.total - last.done if last.total else 0
        words = (
            f"{last.done:,}{f'/{last.total:,}' if last.total else ''} {one_line(last.unit)}",
            rate(speed, one_line(last.unit)) if speed else "",
            "  ".join([*asked * bool(last.prompts_asked or last.prompts_cached), *measures(last.measures)]),
            f"{duration(to_do / speed, about=True)} left" if speed and to_do > 0 else "",
        )
        return Row(name, self.share, words)


def _terminal_size(stream: TextIO) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return 80, 24
    return size.columns or 80, size.lines or 24
