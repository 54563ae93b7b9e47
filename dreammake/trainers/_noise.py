"""Sends what training libraries print to the job's log."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

_LIBRARIES = ("transformers", "trl", "datasets", "peft", "accelerate", "huggingface_hub")


class _Lines(io.TextIOBase):
    """A text stream that says every whole line, and drops empty ones. What `say` prints goes where it went before."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stdout = sys.stdout
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).replace("\r", "\n").split("\n")
        with redirect_stdout(self._stdout):
            for line in lines:
                if line.strip():
                    self._say(line.rstrip())
        return len(text)


@contextmanager
def noise_to(say: Callable[[str], None]) -> Iterator[None]:
    """Inside it, what is printed or logged goes to `say` line by line, and there are no progress bars."""
    from datasets.utils.logging import disable_progress_bar
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    disable_progress_bar()
    lines = _Lines(say)
    handlers = [
        handler
        for name in _LIBRARIES
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    # These handlers hold the stderr of the time when their library was imported, so a redirection misses them.
    streams = [handler.setStream(lines) for handler in handlers]
    try:
        with redirect_stdout(lines), redirect_stderr(lines):
            yield
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            if stream is not None:
                handler.setStream(stream)
        lines.write("\n")
