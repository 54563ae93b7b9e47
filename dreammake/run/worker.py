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
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.job import Job
from dreammake.run.job_log import SOON, JobLog
from dreammake.run.messages import diagnostic_to_json
from dreammake.run.perform import Finish, Performer, Send

LINGER = 8.0
"""How many seconds a job may take to end after its build is gone."""


class Finisher:
    """Puts outputs in place in a thread of its own, one job at a time and in their order."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._given: SimpleQueue[Finish] = SimpleQueue()
        self._busy = threading.Lock()
        self._thread: threading.Thread | None = None

    def take(self, finish: Finish) -> None:
        """Finish a job soon; waits while another one is being finished."""
        self._busy.acquire()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._given.put(finish)

    def wait(self) -> None:
        """Until all that was given is finished, and said so."""
        with self._busy:
            pass

    def _work(self) -> None:
        while True:
            self._send(_ended(self._given.get()))
            self._busy.release()


class Worker:
    """Serves one connection until it ends."""

    def __init__(self, root: Path, state: Path, connection: socket.socket) -> None:
        os.chdir(root)
        self._connection = connection
        self._sending = threading.Lock()
        self._jobs: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        self._ended = False
        self._busy = False
        self._log = JobLog(state / "tmp")
        self._performer = Performer(root, state, self._send, self._log)
        self._finisher = Finisher(self._send)

    def serve(self) -> None:
        """Do jobs until the connection ends. Nothing of a job outlives its build."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (document := self._next()) is not None:
            self._do(document)
        self._finisher.wait()
        self._performer.close()

    def _next(self) -> dict[str, Any] | None:
        while True:
            try:
                with self._arrived:
                    self._busy = False
                    while not self._jobs and not self._ended:
                        self._arrived.wait()
                    if self._ended:
                        return None
                    self._busy = True
                    return self._jobs.pop(0)
            except KeyboardInterrupt:
                continue

    def _listen(self) -> None:
        """Read the connection beside the job: a stop, or its end, interrupts the job."""
        buffer = b""
        while data := self._receive():
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                document = json.loads(line)
                if "stop" in document:
                    self._drop_waiting()
                    self._interrupt()
                    continue
                with self._arrived:
                    self._jobs.append(document)
                    self._arrived.notify()
        with self._arrived:
            self._ended = True
            self._arrived.notify()
        self._interrupt()
        time.sleep(LINGER)
        os.killpg(0, signal.SIGKILL)

    def _drop_waiting(self) -> None:
        """Give up the jobs that wait behind the one that runs: it says so when that one has ended."""
        with self._arrived:
            for document in self._jobs:
                document["dropped"] = True

    def _receive(self) -> bytes:
        try:
            while not select.select([self._connection], [], [], SOON)[0]:
                self._log.place_soon()
            return self._connection.recv(1 << 16)
        except OSError:
            return b""

    def _interrupt(self) -> None:
        if self._busy:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _do(self, document: Mapping[str, Any]) -> None:
        if document.get("dropped"):
            self._finisher.wait()
            self._send(_failure(KeyboardInterrupt()))
            return
        self._log.begin(document["claim"].get("log"))
        finish, failure = None, None
        try:
            if "gpus" in document["claim"]:
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(document["claim"]["gpus"])
            finish = self._performer.perform(Job.from_json(document["job"]), document["claim"])
        except BaseException as error:
            failure = _failure(error)
        # The log is at its place before anybody hears that the job ended.
        self._log.end()
        if finish is not None and self._jobs:
            # Somebody waits: its command runs while the disk is busy with the outputs of this one.
            self._finisher.take(finish)
            return
        self._finisher.wait()
        self._send(failure or _ended(finish))

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, default=str).encode() + b"\n"
        with self._sending:
            try:
                self._connection.sendall(line)
            except OSError:
                self._ended = True


def _ended(finish: Finish | None) -> dict[str, Any]:
    """The message for a job whose steps ran: its outputs are put in place."""
    assert finish is not None
    try:
        return {"done": finish()}
    except BaseException as error:
        return _failure(error)


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
