"""Where a worker's output goes while it does a job: to the job's log, which is made only if anything is said."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from dreammake.core.secrets import SECRETS

SOON = 0.5
"""After so many seconds a job's log stands at its place, so that it can be followed while the job runs."""


class JobLog:
    """Standard output and error of one worker. They go to a spare file, which becomes the log of the job that writes
    to it; ten thousand silent jobs so leave no file at all."""

    def __init__(self, folder: Path) -> None:
        self._spare = str(folder / f"log-{os.getpid()}")
        self._place: str | None = None
        self._placed = False
        self._began = 0.0
        self._open = False
        self._lock = threading.Lock()

    @property
    def path(self) -> str:
        """Where the output of the job that runs is now."""
        return self._place if self._placed and self._place is not None else self._spare

    def begin(self, place: str | None) -> None:
        """The output belongs to the log at `place` from now on."""
        with self._lock:
            self._place, self._placed, self._began = place, False, time.monotonic()
            if not self._open:
                self._redirect()

    def place_soon(self) -> None:
        """Put the log at its place if the job takes long. Called from another thread now and then."""
        with self._lock:
            if self._place is not None and not self._placed and time.monotonic() - self._began > SOON:
                self._put()

    def end(self) -> None:
        """Put the log at its place if anything was said."""
        # On a full disk not even the log can be written, and the job's own error matters more.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        with self._lock, suppress(OSError):
            said = os.fstat(1).st_size > 0
            if said:
                hide_in_file(self.path)
            if self._place is not None and not self._placed and said:
                self._put()
            if self._placed:
                self._redirect()
            self._place, self._placed = None, False

    def _put(self) -> None:
        assert self._place is not None
        os.makedirs(os.path.dirname(self._place), exist_ok=True)
        os.rename(self._spare, self._place)
        self._placed = True

    def _redirect(self) -> None:
        file = os.open(self._spare, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.close(file)
        self._open = True


def hide_in_file(path: str) -> None:
    """Write the names of secrets over their values in a log: commands print what they like. Does nothing where there is
    no file."""
    if not SECRETS:
        return
    with suppress(OSError), open(path, "r+b") as file:
        text = file.read().decode("utf-8", "surrogateescape")
        hidden = SECRETS.hide(text)
        if hidden != text:
            file.seek(0)
            file.truncate()
            file.write(hidden.encode("utf-8", "surrogateescape"))
