"""The process between a build and a model server: it ends the server when the build ends, however that ends.

    python _guard.py FOLDER OWNER PORT COMMAND...

Holds a kernel lock on FOLDER/alive as long as the server runs, runs COMMAND in a session of its own, and writes
FOLDER/address.json (`{"port", "guard", "server"}`, the latter two are process ids). SIGTERM ends both. Run by its path:
only the standard library is needed.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE = 5.0
"""Seconds that the server has to end by itself."""
_LOOK_EVERY = 0.5
_PR_SET_PDEATHSIG = 1


def main(folder: Path, owner: int, port: int, command: list[str]) -> int:
    """Gives the server's exit code."""
    alive = os.open(folder / "alive", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(alive, fcntl.LOCK_EX)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent)
    try:
        part = folder / "address.part"
        part.write_text(json.dumps({"port": port, "guard": os.getpid(), "server": server.pid}))
        part.replace(folder / "address.json")
        while server.poll() is None and not _ended(owner):
            with suppress(subprocess.TimeoutExpired):
                server.wait(_LOOK_EVERY)
        return server.poll() or 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end(server)


def _die_with_parent() -> None:
    """In the server, before it begins: kill -9 of the guard is its end too (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _ended(pid: int) -> bool:
    """Is a process gone, or dead and not yet waited for?"""
    try:
        file = os.pidfd_open(pid)
    except AttributeError:
        return not _answers(pid)
    except OSError:
        return True
    try:
        return bool(select.select([file], [], [], 0)[0])
    finally:
        os.close(file)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server with all that it started. They are one process group: it is its leader."""
    for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 1.0)):
        with suppress(OSError):
            os.killpg(server.pid, number)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            server.poll()
            try:
                os.killpg(server.pid, 0)
            except OSError:
                return
            time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
