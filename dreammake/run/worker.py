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
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.job import Job
from dreammake.run.job_log import SOON, JobLog
from dreammake.run.messages import diagnostic_to_json
from dreammake.run.perform import Finish, Performer

LINGER = 8.0
"""How many seconds a job may take to end after its build is gone."""


class Worker:
    """Serves one connection until it ends. SIGINT interrupts the job that runs, and drops those behind it."""

    def __init__(self, root: Path, state: Path, connection: socket.socket) -> None:
        os.chdir(root)
        self._connection = connection
        self._sending = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._parent = os.getppid()
        self._stopped = False
        self._interruptible = False
        self._log = JobLog(state / "tmp")
        self._performer = Performer(root, state, self._send, self._log)

    def serve(self) -> None:
        """Do jobs until the connection ends. Nothing of a job outlives its build."""
        signal.signal(signal.SIGINT, self._note_stop)
        threading.Thread(target=self._watch, daemon=True).start()
        while (document := self._next()) is not None:
            self._do(document)
        self._performer.close()

    def _note_stop(self, number: int, frame: Any) -> None:
        self._stopped = True

    def _next(self) -> dict[str, Any] | None:
        while not self._lines:
            try:
                data = self._connection.recv(1 << 16)
            except OSError:
                return None
            if not data:
                return None
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines.extend(lines)
        document: dict[str, Any] = json.loads(self._lines.popleft())
        return document

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
        if self._stopped:
            self._send(_failure(KeyboardInterrupt()))
            return
        self._log.begin(document["claim"].get("log"))
        try:
            finish = self._perform(document)
            if os.getppid() != self._parent:
                raise KeyboardInterrupt  # nobody would write down what is put in place now
            message = {"done": finish()}
        except BaseException as error:
            message = _failure(error)
        # The log is at its place before anybody hears that the job ended.
        self._log.end()
        self._send(message)

    def _perform(self, document: Mapping[str, Any]) -> Finish:
        """Run the steps of a job. Only this can be interrupted: what is made is then put in place undisturbed."""
        if "gpus" in document["claim"]:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(document["claim"]["gpus"])
        job = Job.from_json(document["job"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._interruptible = True
            return self._performer.perform(job, document["claim"])
        except KeyboardInterrupt:
            self._stopped = True
            raise
        finally:
            self._interruptible = False
            signal.signal(signal.SIGINT, self._note_stop)

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, default=str).encode() + b"\n"
        with self._sending, suppress(OSError):
            self._connection.sendall(line)


def _failure(error: BaseException) -> dict[str, Any]:
    """The message for a job that ended badly."""
    match error:
        case DreamError(diagnostics=diagnostics):
            return {"failed": [diagnostic_to_json(one) for one in diagnostics], "interrupted": False}
        case KeyboardInterrupt():
            return {"failed": [], "interrupted": True}
        case OSError():
            found = _of_os_error(error)
        case MemoryError():
            hint = "lower batch sizes, or run fewer jobs: -j1"
            found = {"code": "out-of-memory", "message": "the job ran out of memory", "hint": hint}
        case _:
            _log_traceback(error)
            message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
            hint = "the log has the whole story; if dreammake itself is to blame, please report it"
            found = {"code": "job-crashed", "message": message, "hint": hint}
    return {"failed": [found], "interrupted": False}


def _log_traceback(error: BaseException) -> None:
    with suppress(OSError):
        traceback.print_exception(error)
        sys.stderr.flush()


def _of_os_error(error: OSError) -> dict[str, Any]:
    import errno

    _log_traceback(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space and run the same command again: what was answered is kept"
        return {"code": "disk-full", "message": "the disk is full", "hint": hint}
    where = f": {error.filename}" if error.filename else ""
    return {"code": "os-error", "message": f"{error.strerror or error}{where}", "hint": "the log has the whole story"}
