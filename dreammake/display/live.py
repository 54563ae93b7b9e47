"""The live display: running jobs with their progress at the bottom of the terminal, finished ones above."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

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
from dreammake.display.cells import cells, cut, one_line, pad
from dreammake.display.region import Painted, Region
from dreammake.display.stream import QuietStream
from dreammake.display.style import Style
from dreammake.display.wording import beginning, ending, facts, failure, measures, retry

FRAME = 0.1
"""Seconds between two redraws, at least."""
MOST_ROWS = 12
_BAR = 8, 20
"""Fewest and most cells of a bar."""


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
        self._stream = QuietStream(stream)
        self._style = Style(colour)
        self._clock = clock
        self._size = size or (lambda: _terminal_size(stream))
        self._region = Region(self._stream, self._size)
        self._signs = _Signs("✓", "✗", "━", "─") if self._stream.can_write("✓✗━─…") else _Signs("+", "x", "#", ".")
        self._running: dict[str, _Running] = {}
        self._above: list[str] = []
        self._total = self._done = self._failed = 0
        self._began = clock()
        self._drawn_at = float("-inf")
        self._shown = False

    def event(self, event: Event) -> None:
        self._take(event)
        self._draw(now=isinstance(event, BuildFinished | BuildStarted))

    def tick(self) -> None:
        self._draw()

    def close(self) -> None:
        if self._shown or self._above:
            self._region.draw(self._above, [])
            self._above, self._shown = [], False
        self._running.clear()

    def _take(self, event: Event) -> None:
        paint = self._style.paint
        match event:
            case BuildStarted(build, follow):
                self._total, self._began = build + follow, self._clock()
                if self._total:
                    self._above.append(beginning(event))
            case JobStarted(target, rule):
                self._running[target] = _Running(target, rule, self._clock())
            case JobProgress(target) if target in self._running:
                self._running[target].take(event, self._clock())
            case JobFinished(target, seconds, changed):
                what = facts(event.facts) if changed else "same content as before"
                self._end(
                    target, f"{paint(self._signs.good, 'green')} {one_line(target)}  " + _and(what, duration(seconds))
                )
            case JobFailed(target, will_retry=True):
                self._running.pop(target, None)
                self._above.append(f"{paint('retry', 'yellow')} {one_line(target)}  {retry(event)}")
            case JobFailed(target):
                self._failed += 1
                text = failure(event, self._style, self._size()[0])
                self._end(target, f"{paint(f'{self._signs.bad} {one_line(target)}', 'bold', 'red')}\n{text}")
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
        if not now and clock - self._drawn_at < FRAME:
            return
        self._drawn_at = clock
        lines = self._lines(clock) if self._running or self._done < self._total else []
        if lines or self._shown or self._above:
            self._region.draw(self._above, lines)
            self._above, self._shown = [], bool(lines)

    def _lines(self, now: float) -> list[Painted]:
        columns, height = self._size()
        width = max(1, columns - 1)
        room = max(0, min(MOST_ROWS, height - 2))
        jobs = list(self._running.values())
        shown = jobs if len(jobs) <= room else jobs[: max(0, room - 1)]
        name = min(max((cells(one_line(job.target)) for job in shown), default=0), max(8, width // 3))
        lines = [self._row(job, name, width, now) for job in shown]
        if len(jobs) > len(shown) and room:
            lines.append(self._painted(f"  and {len(jobs) - len(shown):,} more running", width, "dim"))
        failed = f", {self._failed:,} failed" if self._failed else ""
        footer = f"{self._done:,} of {self._total:,} done, {len(jobs):,} running{failed}, {duration(now - self._began)}"
        return [*lines, self._painted(footer, width, "bold")]

    def _painted(self, text: str, width: int, look: str) -> Painted:
        plain = cut(text, width)
        return Painted(plain, self._style.paint(plain, look))

    def _row(self, job: _Running, name: int, width: int, now: float) -> Painted:
        """`data/tweets  ━━━━━─────  412/1,000 rows  38 rows/s  400 asked, 12 cached  ~15 s left`: as much
        of it as fits, the bar only where all else does."""
        head = f"  {pad(cut(one_line(job.target), name), name)}"
        words = job.words(now)
        while words and cells(head) + sum(cells(word) + 2 for word in words) > width:
            words.pop(1 if len(words) > 2 else -1)
        tail = "".join(f"  {word}" for word in words)
        share, length = job.share, min(width - cells(head) - cells(tail) - 2, _BAR[1])
        if share is None or length < _BAR[0]:
            plain = cut(head + tail, width)
            return Painted(plain, plain)
        full = int(share * length)
        bar = self._signs.full * full, self._signs.empty * (length - full)
        paint = self._style.paint
        return Painted(
            f"{head}  {bar[0]}{bar[1]}{tail}", f"{head}  {paint(bar[0], 'cyan')}{paint(bar[1], 'dim')}{tail}"
        )


@dataclass(frozen=True, slots=True)
class _Signs:
    good: str
    bad: str
    full: str
    empty: str


@dataclass(slots=True)
class _Running:
    """A job under way, and what it said last."""

    target: str
    rule: str
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

    def words(self, now: float) -> list[str]:
        """What the row says, the most telling first and last."""
        if self.last is None:
            return [duration(now - self.began)]
        last, speed = self.last, self.speed(now)
        words = [f"{last.done:,}{f'/{last.total:,}' if last.total else ''} {last.unit}"]
        words += [rate(speed, last.unit)] if speed else []
        if last.prompts_asked or last.prompts_cached:
            words.append(f"{last.prompts_asked:,} asked, {last.prompts_cached:,} cached")
        words += measures(last.measures)
        if speed and last.total and last.total > last.done:
            words.append(f"{duration((last.total - last.done) / speed, about=True)} left")
        return words


def _and(what: str, then: str) -> str:
    return f"{what}  {then}" if what else then


def _terminal_size(stream: TextIO) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return 80, 24
    return size.columns or 80, size.lines or 24
