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
from typing import Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.job import Job
from dreammake.run.job_log import SOON, JobLog
from dreammake.run.messages import diagnostic_to_json
from dreammake.run.perform import Performer

LINGER = 8.0
"""How many seconds a job may take to end after its build is gone."""


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

    def serve(self) -> None:
        """Do jobs until the connection ends. Nothing of a job outlives its build."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (document := self._next()) is not None:
            self._do(document)
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
            self._fail([], interrupted=True)
            return
        self._log.begin(document["claim"].get("log"))
        try:
            if "gpus" in document["claim"]:
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(document["claim"]["gpus"])
            job = Job.from_json(document["job"])
            self._send({"done": self._performer.perform(job, document["claim"])})
        except DreamError as error:
            self._fail([diagnostic_to_json(diagnostic) for diagnostic in error.diagnostics])
        except KeyboardInterrupt:
            self._fail([], interrupted=True)
        except OSError as error:
            self._fail([_of_os_error(error)])
        except MemoryError:
            hint = "lower batch sizes, or run fewer jobs: -j1"
            self._fail([{"code": "out-of-memory", "message": "the job ran out of memory", "hint": hint}])
        except BaseException as error:
            _log_traceback()
            message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
            hint = "the log has the whole story; if dreammake itself is to blame, please report it"
            self._fail([{"code": "job-crashed", "message": message, "hint": hint}])
        finally:
            self._log.end()

    def _fail(self, diagnostics: list[dict[str, Any]], *, interrupted: bool = False) -> None:
        self._send({"failed": diagnostics, "interrupted": interrupted})

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, default=str).encode() + b"\n"
        with self._sending:
            try:
                self._connection.sendall(line)
            except OSError:
                self._ended = True


def _log_traceback() -> None:
    with suppress(OSError):
        traceback.print_exc()
        sys.stderr.flush()


def _of_os_error(error: OSError) -> dict[str, Any]:
    import errno

    _log_traceback()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space and run the same command again: what was answered is kept"
        return {"code": "disk-full", "message": "the disk is full", "hint": hint}
    where = f": {error.filename}" if error.filename else ""
    return {"code": "os-error", "message": f"{error.strerror or error}{where}", "hint": "the log has the whole story"}
