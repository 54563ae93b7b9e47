"""What a build tells, and whoever shows it."""

from __future__ import annotations

from typing import Protocol

from dreammake.core.events import Event


class Display(Protocol):
    """Shows a build. Called from one thread; never raises because nobody reads its output."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def tick(self) -> None:
        """Time passed: called a few times a second while jobs run."""

    def close(self) -> None:
        """The build is over, or was interrupted: leave the terminal as it was. May be called twice."""
