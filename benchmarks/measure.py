"""Runs commands and measures them: wall time, and the largest resident set of any of their processes."""

from __future__ import annotations

import os
import resource
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, or the median of several. `problem` says why there is no time."""

    seconds: float = 0.0
    mebibytes: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One tool in one case: its command, and what puts its folder back before each run."""

    name: str
    command: Sequence[str]
    folder: Path
    reset: Callable[[], None] | None = None
    expect: str = ""
    """A text that its output must have: a tool that does not see the work is not fast."""


def measure(contestant: Contestant, *, limit: float = 300.0) -> Measured:
    """Run once. The peak is of the largest process among those waited for; 0 where it is no more than this script's
    own, which a child has before it becomes the command."""
    output = contestant.folder.with_suffix(".out")
    with output.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(
            contestant.command,
            cwd=contestant.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        over = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        over.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        over.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    said = output.read_text(encoding="utf-8", errors="replace")
    if seconds >= limit:
        return Measured(problem=f"over {limit:.0f} s")
    if process.returncode:
        return Measured(problem=f"exit {process.returncode}: {_last_line(said)}")
    if contestant.expect not in said:
        return Measured(problem=f"does not say `{contestant.expect}`: {_last_line(said)}")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(seconds, usage.ru_maxrss / 1024 if usage.ru_maxrss > own * 1.05 else 0.0)


def interleaved(contestants: Sequence[Contestant], runs: int, *, limit: float = 300.0) -> Mapping[str, Measured]:
    """The median of `runs` runs each, taken in turn (A B C A B C), so that a busy moment hits all alike."""
    taken: dict[str, list[Measured]] = {contestant.name: [] for contestant in contestants}
    for _ in range(runs):
        for contestant in contestants:
            if any(one.problem for one in taken[contestant.name]):
                continue
            if contestant.reset:
                contestant.reset()
            taken[contestant.name].append(measure(contestant, limit=limit))
    return {name: _median(measured) for name, measured in taken.items()}


def _median(measured: Sequence[Measured]) -> Measured:
    for one in measured:
        if one.problem:
            return one
    return Measured(
        statistics.median(one.seconds for one in measured), statistics.median(one.mebibytes for one in measured)
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1][:120] if lines else "no output"
