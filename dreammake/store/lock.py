"""The lock of a build: a kernel lock, so it ends with its process and is never stale. Its file names the holder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail


class BuildLock:
    """Held by at most one build of a project. `acquire` waits for another build to end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self, waiting: Callable[[Mapping[str, Any]], None], stopped: Callable[[], int]) -> bool:
        """Take the lock; `waiting` is told once who holds it. False where `stopped` ends the wait."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        told = False
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    waiting(self.holder())
                    told = True
                if stopped():
                    self.release()
                    return False
                time.sleep(0.05)
            except OSError as error:
                hint = "put the state elsewhere: --state-dir DIR"
                fail("no-lock", f"{self._path} cannot be locked: {error.strerror}", hint=hint)
        os.ftruncate(self._file, 0)
        holder = {"pid": os.getpid(), "host": os.uname().nodename, "since": time.strftime("%H:%M:%S")}
        os.pwrite(self._file, json.dumps(holder).encode(), 0)
        return True

    def holder(self) -> dict[str, Any]:
        """Who holds the lock: `pid`, `host`, `since`; empty where it does not say."""
        try:
            found = json.loads(self._path.read_text())
            return found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            return {}

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
