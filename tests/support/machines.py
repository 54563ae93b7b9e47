"""An executor with two machines, the second of which is a process of this one: a cluster's would be told by Slurm."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreammake.core.job import Job
from dreammake.core.options import OptionSet
from dreammake.executors.local import Local, Serve
from dreammake.plan.ports import Done, Failed, Message


class TwoMachines(Local):
    """The local executor, which starts a second machine for each job that wants two."""

    nodes = 2

    class Options(OptionSet):
        """None."""

    def __init__(self, serve: Serve) -> None:
        super().__init__(serve)
        self._others: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}

    def start(self, job: Job, claim: Mapping[str, Any], behind: str | None = None) -> None:
        if claim.get("nodes", 1) > 1:
            meeting = tempfile.mkdtemp(prefix="meeting", dir=Path(claim["ledger"]).parent)
            command = [sys.executable, "-m", "dreammake.trainers._processes.node", meeting, "1"]
            self._others[job.id] = meeting, subprocess.Popen(command)
            claim = {**claim, "meeting": meeting}
        super().start(job, claim, behind)

    def wait(self, timeout: float | None) -> list[Message]:
        messages = super().wait(timeout)
        for job, message in messages:
            if isinstance(message, Done | Failed) and job in self._others:
                meeting, machine = self._others.pop(job)
                machine.terminate()
                machine.wait()
                shutil.rmtree(meeting)
        return messages
