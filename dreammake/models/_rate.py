"""Requests and tokens a minute, counted together by all processes of a build."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

_STATE = struct.Struct("<dd")
"""What the file holds: when the next request, and the next token, would be due at an even pace (Unix time, in s)."""
_FARTHEST = 3600.0
"""A time farther ahead than this was left by a clock that was wrong."""


class Rate:
    """Leaves so much time between requests that no minute has more of them, or of their tokens, than are allowed.

    Requests are spaced evenly (some may come together where many are allowed a second), and a request of many tokens
    is followed by a long pause. Processes share one `file`; without one, the limits hold in this process.
    """

    def __init__(
        self, rpm: int | None, tpm: int | None, file: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        together = max(1, (rpm or 0) // 600)  # a tenth of a second's worth: timers are no finer
        self._a_request = 60 / (rpm - together + 1) if rpm else 0.0
        self._a_token = 60 / tpm if tpm else 0.0
        self._slack = (together - 1) * self._a_request
        self._clock = clock
        self._alone = (0.0, 0.0)
        self._file = None if file is None else os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @property
    def limits(self) -> bool:
        return bool(self._a_request or self._a_token)

    def take(self, tokens: float) -> float:
        """Take the place of a request of about so many tokens: 0; or the seconds until one may be free."""
        return self._turn(tokens, taking=True)

    def settle(self, tokens: float) -> None:
        """Correct what was taken, by the tokens that it was more, or fewer (then below 0)."""
        if self._a_token:
            self._turn(tokens, taking=False)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _turn(self, tokens: float, taking: bool) -> float:
        if self._file is None:
            wait, self._alone = self._next(self._alone, tokens, taking)
            return wait
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            content = os.pread(self._file, _STATE.size, 0)
            due = _STATE.unpack(content) if len(content) == _STATE.size else (0.0, 0.0)
            wait, due = self._next(due, tokens, taking)
            os.pwrite(self._file, _STATE.pack(*due), 0)
            return wait
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _next(self, due: tuple[float, float], tokens: float, taking: bool) -> tuple[float, tuple[float, float]]:
        now = self._clock()
        request, token = (moment if moment < now + _FARTHEST else now for moment in due)
        if not taking:
            return 0.0, (request, token + tokens * self._a_token)
        wait = max(request - self._slack if self._a_request else 0.0, token if self._a_token else 0.0) - now
        if wait > 0:
            return wait, (request, token)
        return 0.0, (max(request, now) + self._a_request, max(token, now) + tokens * self._a_token)


def rate_file(folder: Path | None, *about: str) -> Path | None:
    """The file that all share who ask the same: `about` is the endpoint and the model."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"rate-{hashlib.sha256(chr(0).join(about).encode()).hexdigest()[:16]}"
