"""One plain line an event: for pipes, files and CI."""

from __future__ import annotations

import time
from collections.abc import Callable
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
from dreammake.display.amounts import count, duration
from dreammake.display.cells import one_line
from dreammake.display.stream import QuietStream
from dreammake.display.style import Style
from dreammake.display.wording import beginning, ending, facts, failure, measures, prompts, retry, unchanged

FLUSH_EVERY = 0.1
"""Seconds between two writes: ten thousand lines are not ten thousand writes."""
PROGRESS_EVERY = 30.0
"""Seconds between two progress lines of one job."""


class PlainDisplay:
    """Writes what happens as it happens. `width` bounds excerpts only; `clock` counts seconds."""

    def __init__(
        self, stream: TextIO, *, colour: bool = False, width: int = 120, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = QuietStream(stream)
        self._style = Style(colour)
        self._width = width
        self._clock = clock
        self._said: list[str] = []
        self._flushed = 0.0
        self._told: dict[str, float] = {}
        """When a line was last written for a running job."""
        self._done: dict[str, int] = {}
        """How much it had done then; before the first line, what it began with."""

    def event(self, event: Event) -> None:
        match event:
            case BuildStarted() if event.build or event.follow:
                self._line(beginning(event))
            case JobStarted(target, rule, reasons, attempt):
                self._told[target] = self._clock()
                self._done.pop(target, None)
                again = f"attempt {attempt}: " if attempt > 1 else ""
                self._say("start", target, f"{again}{', '.join(reasons)}" if reasons else f"{again}rule {rule}")
            case JobProgress(target, note=note) if note:
                self._say("note", target, note)
            case JobProgress():
                self._progress(event)
            case JobFinished(target, seconds, changed):
                self._told.pop(target, None)
                what = facts(event.facts) if changed else unchanged(event.facts)
                self._say(
                    "done", target, f"{what} in {duration(seconds)}" if what else f"in {duration(seconds)}", "green"
                )
            case JobFailed(target, will_retry=True):
                self._say("retry", target, retry(event), "yellow")
            case JobFailed(target):
                self._told.pop(target, None)
                self._say("failed", target, "", "red")
                self._line(failure(event, self._style, self._width))
            case JobFresh(target):
                self._say("same", target, "what it reads was rebuilt to the same content")
            case GraphGrew(after, jobs):
                self._say("known", after, f"{count(jobs, 'more job')} to do")
            case BuildFinished():
                self._line(ending(event))

    def tick(self) -> None:
        """Write what was said since the last time, at most some times a second."""
        now = self._clock()
        if now - self._flushed >= FLUSH_EVERY:
            self._flushed = now
            self._flush()

    def close(self) -> None:
        """Write what is left to say."""
        self._flush()

    def _line(self, text: str) -> None:
        self._said.append(text)

    def _flush(self) -> None:
        if self._said:
            said, self._said = self._said, []
            self._stream.line("\n".join(said))

    def _progress(self, event: JobProgress) -> None:
        now = self._clock()
        told, before = self._told.setdefault(event.target, now), self._done.setdefault(event.target, event.done)
        if now - told < PROGRESS_EVERY:
            return
        self._told[event.target], self._done[event.target] = now, event.done
        speed = (event.done - before) / (now - told)
        to_do = event.total - event.done if event.total else 0
        left = [f"{duration(to_do / speed, about=True)} left"] if to_do > 0 and speed > 0 else []
        total = f" of {event.total:,}" if event.total else ""
        asked = [prompts(event.prompts_asked, event.prompts_cached)] * bool(event.prompts_asked or event.prompts_cached)
        words = [f"{event.done:,}{total} {event.unit}", *asked, *measures(event.measures), *left]
        self._say("at", event.target, ", ".join(words))

    def _say(self, word: str, target: str, text: str, look: str = "dim") -> None:
        line = f"{self._style.paint(f'{word:<6}', look)} {one_line(target)}"
        self._line(f"{line}  {one_line(text)}" if text else line)
