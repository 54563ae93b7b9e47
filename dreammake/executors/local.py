"""Runs jobs in warm worker processes on this machine.

A worker is forked when it is first wanted and kept for the jobs that follow, so imports and loaded models are paid
for once. A worker that dies takes one job with it, never the build. Forking needs a parent without threads: the
build loop has none.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dreammake.core.job import Job
from dreammake.core.options import OptionSet
from dreammake.plan.ports import Done, Failed, Message, OutputRecord, Progressed

GRACE = 10.0
"""How many seconds a worker has to end cleanly before it is killed."""

Serve = Callable[[socket.socket], None]
"""What a worker process does with its end of the connection: `run.worker.serve`."""


@dataclass(slots=True)
class _Worker:
    pid: int
    connection: socket.socket
    models: frozenset[str] = frozenset()
    """Models of its last job: they may still be loaded."""
    jobs: deque[tuple[str, bytes]] = field(default_factory=deque)
    """The job that it does, and those behind it: ids and documents."""
    buffer: bytearray = field(default_factory=bytearray)


class Local:
    """The executor `local`: at most as many workers as jobs run at once."""

    nodes = 1

    class Options(OptionSet):
        """None: `-j` and the pools decide how many jobs run."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._workers: dict[int, _Worker] = {}
        self._selector = selectors.DefaultSelector()
        self._stopping = False

    def start(self, job: Job, claim: Mapping[str, Any], behind: str | None = None) -> None:
        models = _models_of(job)
        worker = self._worker_of(behind) or self._idle(models) or self._fork()
        worker.models = models
        self._give(worker, job.id, (json.dumps({"job": job.to_json(), "claim": dict(claim)}) + "\n").encode())

    def _give(self, worker: _Worker, job: str, document: bytes) -> None:
        worker.jobs.append((job, document))
        # One that died while it was idle takes nothing: its end is then read as the job's failure.
        _send(worker, document)

    def _worker_of(self, job: str | None) -> _Worker | None:
        found = (worker for worker in self._workers.values() if worker.jobs and worker.jobs[0][0] == job)
        return next(found, None) if job is not None else None

    def wait(self, timeout: float | None) -> list[Message]:
        messages: list[Message] = []
        for key, _ in self._selector.select(timeout):
            messages += self._read(key.data)
        return messages

    def stop(self, now: bool) -> None:
        self._stopping = True
        for worker in list(self._workers.values()):
            if now:
                _kill_session(worker.pid)
            elif worker.jobs:
                with suppress(OSError):
                    os.kill(worker.pid, signal.SIGINT)

    def close(self) -> None:
        """End the workers: idle ones by the end of their connection, and any that linger by force."""
        for worker in self._workers.values():
            self._selector.unregister(worker.connection)
            worker.connection.close()
        deadline = time.monotonic() + GRACE
        for worker in self._workers.values():
            while _is_alive(worker.pid) and time.monotonic() < deadline:
                time.sleep(0.005)
            _kill_session(worker.pid)
            _collect(worker.pid)
        self._workers.clear()
        self._selector.close()

    def _idle(self, models: frozenset[str]) -> _Worker | None:
        """An idle worker, best one that has the models loaded."""
        idle = [worker for worker in self._workers.values() if not worker.jobs]
        return max(idle, key=lambda worker: (worker.models == models, not worker.models), default=None)

    def _fork(self) -> _Worker:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            self._be_worker(theirs)
        theirs.close()
        worker = _Worker(pid, ours)
        self._workers[pid] = worker
        self._selector.register(ours, selectors.EVENT_READ, worker)
        return worker

    def _be_worker(self, connection: socket.socket) -> None:
        """The child: a session of its own, nothing open but its connection and the standard streams."""
        status = 1
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            keep = connection.fileno()
            os.closerange(3, keep)
            os.closerange(keep + 1, 4096)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            self._serve(connection)
            status = 0
        finally:
            os._exit(status)

    def _read(self, worker: _Worker) -> list[Message]:
        try:
            data = worker.connection.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return self._lost(worker)
        worker.buffer += data
        *lines, rest = worker.buffer.split(b"\n")
        worker.buffer = rest
        return [message for line in lines for message in self._message(worker, json.loads(line))]

    def _message(self, worker: _Worker, data: Mapping[str, Any]) -> list[Message]:
        if not worker.jobs:
            return []
        job, _ = worker.jobs[0]
        match data:
            case {"done": {"outputs": outputs, "seconds": seconds, "facts": facts}}:
                worker.jobs.popleft()
                return [(job, Done(tuple(OutputRecord(*output) for output in outputs), seconds, facts))]
            case {"failed": diagnostics, "interrupted": interrupted}:
                worker.jobs.popleft()
                return [(job, Failed(tuple(diagnostics), interrupted=interrupted))]
            case {"progress": fields}:
                return [(job, Progressed(fields))]
        return []

    def _lost(self, worker: _Worker) -> list[Message]:
        """The worker is gone: say how its process ended, as the failure of its job."""
        self._selector.unregister(worker.connection)
        worker.connection.close()
        del self._workers[worker.pid]
        _, status = os.waitpid(worker.pid, 0)
        if not worker.jobs:
            return []
        (job, _), *behind = worker.jobs
        if behind:
            another = self._fork()
            for after, document in behind:
                self._give(another, after, document)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL and not self._stopping:
            how, hint = (
                "was killed (SIGKILL), most likely out of memory",
                "give it less to hold, or run fewer jobs: -j1",
            )
        elif code < 0:
            how, hint = f"died of {signal.Signals(-code).name}", "its log may say more"
        else:
            how, hint = f"ended with status {code}", "its log may say more"
        diagnostic = {"code": "worker-lost", "message": f"the process of this job {how}", "hint": hint}
        return [(job, Failed((diagnostic,), lost=True, interrupted=self._stopping))]


def _models_of(job: Job) -> frozenset[str]:
    found = set()
    for step in job.steps:
        for value in step.options.values():
            if isinstance(value, dict) and "$model" in value:
                found.add(f"{value['$model']['engine']} {value['$model']['model']}")
    return frozenset(found)


def _send(worker: _Worker, line: bytes) -> None:
    with suppress(OSError):
        worker.connection.sendall(line)


def _kill_session(pid: int) -> None:
    """End a worker and whatever it started: a command has a group of its own, but the worker's session."""
    for member in [pid, *_session_of(pid)]:
        with suppress(OSError):
            os.kill(member, signal.SIGKILL)


def _session_of(leader: int) -> Iterator[int]:
    """The processes of a session, where the system shows them in /proc."""
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with suppress(OSError):
                    if os.getsid(int(name)) == leader:
                        yield int(name)


def _collect(pid: int) -> None:
    with suppress(OSError):
        os.waitpid(pid, 0)


def _is_alive(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except OSError:
        return False
