"""One model server for all the processes of a build: whoever needs it first starts it, the others join.

The folder of a server holds kernel locks, which end with the processes that hold them and so are never stale:
`start` (held while somebody starts or stops it), `alive` (held by its guard), `users` (shared by all who have requests
under way); and `address.json`, `gpus` and `log`.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dreammake.core.diagnostic import Diagnostic, DreamError, Note
from dreammake.models import _guard

LINES = 12
"""Lines of a server's log that an error shows."""
_LOOK_EVERY = 0.1


class SharedServer:
    """A server that `command(port)` starts, and that answers GET /health with 200 once it is ready.

    `name` is what a user calls it; `owner` the process whose end is the server's; `gpus` the ids that it fills.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        command: Callable[[int], list[str]],
        environment: Mapping[str, str],
        owner: int,
        gpus: frozenset[str],
        ready_within: float,
        say: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self._name = name
        self._command = command
        self._environment = environment
        self._owner = owner
        self._gpus = gpus
        self._ready_within = ready_within
        self._say = say
        self._using: int | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the server if none runs, and give its address. Raises DreamError `server-failed`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / "start"):
            if not self.alive:
                self._make_room()
                self._launch()
            port = self._address()["port"]
            self._wait_until_ready(port)
        return f"http://127.0.0.1:{port}"

    @property
    def alive(self) -> bool:
        if self._guard is not None:
            self._guard.poll()  # or it would stay as a zombie
        return is_held(self.folder / "alive")

    def use(self) -> None:
        """From here on requests are under way: nobody takes the server away."""
        if self._using is None:
            self._using = os.open(self.folder / "users", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._using, fcntl.LOCK_SH)

    def rest(self) -> None:
        """No request is under way."""
        if self._using is not None:
            os.close(self._using)
            self._using = None

    def stop_if_unused(self) -> bool:
        """End the server, unless another process uses it."""
        with suppress(FileNotFoundError):
            return _stop_if_unused(self.folder)
        return True

    def last_lines(self) -> tuple[Note, ...]:
        """The end of its log."""
        with suppress(OSError):
            text = (self.folder / "log").read_bytes()[-20_000:].decode("utf-8", "replace")
            lines = [line.rstrip() for line in text.splitlines() if line.strip()]
            return tuple(Note(line[:300]) for line in lines[-LINES:])
        return ()

    def failed(self, how: str) -> DreamError:
        hint = f"the whole log is {self.folder / 'log'}"
        return DreamError(
            Diagnostic("server-failed", f"{self._name} {how}", hint=hint, notes=self.last_lines()), exit_code=1
        )

    def _make_room(self) -> None:
        """Stop servers on the same GPUs that nobody uses now."""
        for other in self.folder.parent.iterdir():
            gpus = other / "gpus"
            if other != self.folder and gpus.is_file() and self._gpus & frozenset(gpus.read_text().split()):
                _stop_if_unused(other)

    def _launch(self) -> None:
        port = _free_port()
        self._say(f"starting {self._name}")
        (self.folder / "gpus").write_text(" ".join(sorted(self._gpus)))
        (self.folder / "address.json").unlink(missing_ok=True)
        guard = [sys.executable, "-I", str(Path(_guard.__file__)), str(self.folder), str(self._owner), str(port)]
        with (self.folder / "log").open("ab") as log:
            self._guard = subprocess.Popen(
                [*guard, *self._command(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self._environment),
                cwd=self.folder,
                start_new_session=True,
            )
        while not (self.folder / "address.json").exists() and self._guard.poll() is None:
            time.sleep(0.01)

    def _address(self) -> Mapping[str, int]:
        try:
            found: Mapping[str, int] = json.loads((self.folder / "address.json").read_text())
        except OSError:
            raise self.failed("cannot be started") from None
        return found

    def _wait_until_ready(self, port: int) -> None:
        until = time.monotonic() + self._ready_within
        try:
            while not _is_ready(port):
                if not self.alive:
                    raise self.failed("ended while it was starting")
                if time.monotonic() > until:
                    raise self.failed(f"was not ready within {self._ready_within:g} s")
                time.sleep(_LOOK_EVERY)
        except BaseException:
            _end_guard(self.folder)
            raise


def is_held(lock: Path) -> bool:
    """Does a process hold the lock?"""
    try:
        file = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock; a wait for it can be interrupted."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_LOOK_EVERY)
        yield
    finally:
        os.close(file)


def _stop_if_unused(folder: Path) -> bool:
    users = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        _end_guard(folder)
        return True
    finally:
        os.close(users)


def _end_guard(folder: Path) -> None:
    """End a server with its guard, and wait until it is gone."""
    until = time.monotonic() + 2 * _guard.GRACE
    with suppress(OSError, ValueError):
        guard = json.loads((folder / "address.json").read_text())["guard"]
        if is_held(folder / "alive"):
            os.kill(guard, signal.SIGTERM)
    while is_held(folder / "alive") and time.monotonic() < until:
        time.sleep(0.02)


def _is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
