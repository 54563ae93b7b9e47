"""A stream that takes any text, and goes quiet when its reader is gone."""

from __future__ import annotations

import os
from typing import TextIO


class QuietStream:
    """Writes to a terminal, pipe or file; after a closed pipe it writes nothing and says nothing."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.open = True

    def write(self, text: str) -> None:
        """Write and flush. What the encoding lacks becomes `?`."""
        if not self.open:
            return
        try:
            self.stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            self.stream.flush()
        except (BrokenPipeError, ValueError):
            self._hush()

    def line(self, text: str) -> None:
        self.write(text + "\n")

    def can_write(self, text: str) -> bool:
        """Whether the encoding has all of these characters."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True

    def _hush(self) -> None:
        """Send what is still buffered nowhere: Python would complain about it when it exits."""
        self.open = False
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass
