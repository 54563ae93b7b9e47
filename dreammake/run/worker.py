"""A worker process: takes job documents from its connection, does them one by one, and says how they end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.job import Job
from dreammake.run.job_log import SOON, JobLog
from dreammake.run.messages import diagnostic_to_json
from dreammake.run.perform import Finish, Performer

LINGER = 8.0
"""How many seconds a job may take to end after its build is gone."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A job whose steps ended well: what is left is to put its outputs in place."""

    finish: Finish
    log: str | None


class Worker:
    """Serves one connection until it ends. SIGINT interrupts the job that runs, and drops those behind it."""

    def __init__(self, root: Path, state: Path, connection: socket.socket) -> None:
        os.chdir(root)
        self._connection = connection
        self._sending = threading.Lock()
        self._documents: deque[dict[str, Any]] = deque()
        self._rest = b""
        self._made: _Made | None = None
        """The job before this one, where it is not put in place yet."""
        self._parent = os.getppid()
        self._stopped = False
        self._interruptible = False
        self._log = JobLog(state / "tmp")
        self._performer = Performer(root, state, self._send, self._log, self._settle)

    def serve(self) -> None:
        """Do jobs until the connection ends. Nothing of a job outlives its build."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        threading.Thread(target=self._watch, daemon=True).start()
        while (document := self._next()) is not None:
            self._do(document)
        self._performer.close()

    def _on_interrupt(self, number: int, frame: Any) -> None:
        self._stopped = True
        if self._interruptible:
            raise KeyboardInterrupt

    def _next(self) -> dict[str, Any] | None:
        while not self._documents:
            if not self._read(0):
                return None
        return self._documents.popleft()

    def _read(self, flags: int) -> bool:
        """Take what came. False at the end of the connection, or where waiting is not wanted and nothing came."""
        try:
            data = self._connection.recv(1 << 16, flags)
        except OSError:
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._documents.extend(json.loads(line) for line in lines)
        return bool(data)

    def _watch(self) -> None:
        """Look now and then, beside the job: its log is put where it can be followed, and the end of the build that
        asked for it interrupts it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        ended = select.poll()
        ended.register(self._connection, 0)  # its end alone, not what comes: that is for the main thread
        while not ended.poll(SOON * 1000):
            self._log.place_soon()
        self._stopped = True
        if self._interruptible:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(LINGER)
        os.killpg(0, signal.SIGKILL)

    def _do(self, document: Mapping[str, Any]) -> None:
        place = document["claim"].get("log")
        if self._stopped:
            self._settle()
            self._send(_failure(KeyboardInterrupt(), place))
            return
        self._log.begin(place)
        try:
            made = _Made(self._perform(document), place)
        except BaseException as error:
            self._settle()
            message = _failure(error, None)
        else:
            if _is_command(document) and self._command_follows():
                self._made = made
                self._log.end()
                return
            message = self._put_in_place(made, None)
        # The log is at its place before anybody hears that the job ended.
        self._log.end()
        self._send(message)

    def _command_follows(self) -> bool:
        """Does a command come next? While it runs there is time to put in place what the one before it made."""
        if not self._documents:
            self._read(socket.MSG_DONTWAIT)
        return bool(self._documents) and _is_command(self._documents[0])

    def _settle(self) -> None:
        """Put in place what the job before this one made, and tell how it ended."""
        made, self._made = self._made, None
        if made is not None:
            self._send(self._put_in_place(made, made.log))

    def _put_in_place(self, made: _Made, log: str | None) -> dict[str, Any]:
        """The message for a job whose steps ended well."""
        try:
            if os.getppid() != self._parent:
                raise KeyboardInterrupt  # nobody would write down what is put in place now
            return {"done": made.finish()}
        except BaseException as error:
            return _failure(error, log)

    def _perform(self, document: Mapping[str, Any]) -> Finish:
        """Run the steps of a job. Only this can be interrupted: what is made is then put in place undisturbed."""
        if "gpus" in document["claim"]:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(document["claim"]["gpus"])
        job = Job.from_json(document["job"])
        try:
            self._interruptible = True
            return self._performer.perform(job, document["claim"])
        except KeyboardInterrupt:
            self._stopped = True
            raise
        finally:
            self._interruptible = False

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, default=str).encode() + b"\n"
        with self._sending, suppress(OSError):
            self._connection.sendall(line)


def _is_command(document: Mapping[str, Any]) -> bool:
    """Is the job one command, and nothing else?"""
    steps = document["job"]["steps"]
    return len(steps) == 1 and steps[0][0] == "shell" and "shared" not in document["claim"]


def _failure(error: BaseException, log: str | None) -> dict[str, Any]:
    """The message for a job that ended badly. `log` is where its story goes, if not where our output goes now."""
    match error:
        case DreamError(diagnostics=diagnostics):
            return {"failed": [diagnostic_to_json(one) for one in diagnostics], "interrupted": False}
        case KeyboardInterrupt():
            return {"failed": [], "interrupted": True}
        case OSError():
            found = _of_os_error(error, log)
        case MemoryError():
            hint = "lower batch sizes, or run fewer jobs: -j1"
            found = {"code": "out-of-memory", "message": "the job ran out of memory", "hint": hint}
        case _:
            _log_traceback(error, log)
            message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
            hint = "the log has the whole story; if dreammake itself is to blame, please report it"
            found = {"code": "job-crashed", "message": message, "hint": hint}
    return {"failed": [found], "interrupted": False}


def _log_traceback(error: BaseException, log: str | None) -> None:
    with suppress(OSError):
        if log is None:
            traceback.print_exception(error)
            sys.stderr.flush()
            return
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)


def _of_os_error(error: OSError, log: str | None) -> dict[str, Any]:
    import errno

    _log_traceback(error, log)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space and run the same command again: what was answered is kept"
        return {"code": "disk-full", "message": "the disk is full", "hint": hint}
    where = f": {error.filename}" if error.filename else ""
    return {"code": "os-error", "message": f"{error.strerror or error}{where}", "hint": "the log has the whole story"}
