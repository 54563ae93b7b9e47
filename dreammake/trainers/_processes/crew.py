"""The ranks that one machine runs of a training: how they are started, heard, and ended with what they started."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

GRACE = 3.0
"""Seconds after a failure in which the other ranks may still say what happened to them."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The ranks of one machine among those of all: which machine of how many it is, and how many ranks each has."""

    machine: int
    machines: int
    ranks: int
    strategy: str

    @property
    def count(self) -> int:
        """The ranks of all machines."""
        return self.machines * self.ranks

    @property
    def numbers(self) -> Sequence[int]:
        """Its own ranks among them."""
        return range(self.machine * self.ranks, (self.machine + 1) * self.ranks)


@dataclass(slots=True)
class Rank:
    """One running process of a training, the lines that it sends, and those that it is sent."""

    number: int
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    told: IO[bytes]
    failure: Mapping[str, Any] | None = None
    began: bytearray = field(default_factory=bytearray)

    @classmethod
    def start(cls, number: int, crew: Crew, folder: Path) -> Rank:
        said, says = os.pipe()
        hears, told = os.pipe()
        command = [
            sys.executable,
            "-P",
            "-m",
            "dreammake.trainers._processes.rank",
            str(folder),
            str(says),
            str(hears),
            str(os.getpid()),
        ]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=(says, hears),
                env={**os.environ, **_environment(number, crew)},
                # A group of its own, so that what it starts can be ended with it.
                process_group=0,
            )
        finally:
            os.close(says)
            os.close(hears)
        return cls(number, process, os.fdopen(said, "rb", buffering=0), os.fdopen(told, "wb"))

    def __enter__(self) -> Rank:
        return self

    def __exit__(self, *_: object) -> None:
        """End it, with all that it started."""
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.said.close()
        with suppress(BrokenPipeError):
            self.told.close()

    def read(self) -> Iterator[Mapping[str, Any]] | None:
        """The messages that came, or None after the last one."""
        data = self.said.read(1 << 16)
        if not data:
            return None
        *lines, rest = bytes(self.began + data).split(b"\n")
        self.began[:] = rest
        return (json.loads(line) for line in lines)

    def answer(self, message: Mapping[str, Any]) -> None:
        """Send one line. A rank that is gone hears nothing; that it is, shows where it is read from."""
        with suppress(BrokenPipeError):
            self.told.write(json.dumps(message).encode() + b"\n")
            self.told.flush()


Hear = Callable[[Mapping[str, Any], Rank], None]
"""Called with each message of a rank."""


def run(crew: Crew, folder: Path, hear: Hear) -> list[Mapping[str, Any]]:
    """Run the ranks of this machine on the order that lies in `folder`, until all have ended well or one has not. None
    of them outlives this. Gives the failures: `{"rank": 1, "killed": 9}`, or what the rank said of its error."""
    with ExitStack() as stack:
        ranks = [stack.enter_context(Rank.start(number, crew, folder)) for number in crew.numbers]
        _follow(ranks, hear)
    return [{"rank": rank.number, **rank.failure} for rank in ranks if rank.failure is not None]


def _environment(number: int, crew: Crew) -> dict[str, str]:
    """What torch and accelerate read; a training of one rank is no distributed one. A rank imports what this process
    can."""
    paths = {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    if crew.count == 1:
        return paths
    made: dict[str, Any] = {
        "RANK": number,
        "LOCAL_RANK": number - crew.numbers[0],
        "WORLD_SIZE": crew.count,
        "LOCAL_WORLD_SIZE": crew.ranks,
    }
    threads = os.environ.get("OMP_NUM_THREADS") or max(1, len(os.sched_getaffinity(0)) // crew.ranks)
    made |= {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
    environment = paths | {name: str(value) for name, value in made.items()}
    if crew.strategy == "fsdp":
        environment |= {
            "ACCELERATE_USE_FSDP": "true",
            "FSDP_VERSION": "2",
            "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
            "FSDP_RESHARD_AFTER_FORWARD": "true",
            "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
            "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
        }
    return environment


def _follow(ranks: Sequence[Rank], hear: Hear) -> None:
    with selectors.DefaultSelector() as selector:
        for rank in ranks:
            selector.register(rank.said, selectors.EVENT_READ, rank)
        until: float | None = None
        while selector.get_map() and (until is None or time.monotonic() < until):
            for key, _ in selector.select(None if until is None else max(0.0, until - time.monotonic())):
                if not _hear(key.data, hear):
                    selector.unregister(key.fileobj)
                if key.data.failure is not None and until is None:
                    until = time.monotonic() + GRACE


def _hear(rank: Rank, hear: Hear) -> bool:
    """Pass on what a rank says now. False where it has ended."""
    messages = rank.read()
    for message in messages or ():
        if "failed" in message:
            rank.failure = message["failed"]
        else:
            hear(message, rank)
    if messages is None and rank.process.wait() and rank.failure is None:
        rank.failure = {"killed": -rank.process.returncode}
    return messages is not None


def write_whole(value: Any, place: Path) -> None:
    """Write JSON for another machine, which finds a whole file or none."""
    begun = place.with_name(place.name + ".part")
    begun.write_text(json.dumps(value, default=str), encoding="utf-8")
    begun.rename(place)
