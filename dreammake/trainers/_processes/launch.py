"""Runs a training in processes of its own, its ranks, one a GPU, and none of them outlives it.

This process reads the rows once and puts them down as Arrow files, starts the ranks (`rank`), passes on what they say,
and asks a judge for them. There is no launcher and no port to choose: the ranks meet at a file. A rank that fails takes
the others with it.

    launch/order.json      what to train: method, options, base, columns, paths
    launch/train-0.arrow   the rows, a file for each run of batches of one schema
    launch/meeting         where the ranks find each other
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from dreammake.core.diagnostic import Diagnostic, DreamError, fail
from dreammake.core.judgement import told
from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import RowError
from dreammake.core.trainer import Trainer, Training
from dreammake.core.values import ModelSpec, models_in, to_json

CPU_RANKS = "DREAMMAKE_CPU_RANKS"
"""So many processes on the CPU stand for GPUs: for tests, and to try a Dreamfile where there is no GPU."""
GRACE = 3.0
"""Seconds after a failure in which the other ranks may still say what happened to them."""


def rank_count(training: Training) -> int:
    """In how many processes of their own a training runs; 0: in this one. Even one GPU has one: its memory is free when
    the process ends, which it is not where a worker lives on."""
    return training.gpus or int(os.environ.get(CPU_RANKS) or 0)


def launch(method: type[Trainer], options: OptionSet, training: Training, count: int, strategy: str) -> None:
    """Train in `count` ranks. Raises DreamError where one of them fails."""
    folder = training.checkpoints / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _write_order(method, options, training, folder)
        with ExitStack() as stack:
            ranks = [stack.enter_context(_Rank.start(number, count, folder, strategy)) for number in range(count)]
            _follow(ranks, _Parent(training, {judge.name: judge for judge in models_in([*options.values.values()])}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_order(method: type[Trainer], options: OptionSet, training: Training, folder: Path) -> None:
    order = {
        "method": [method.__module__, method.__qualname__],
        "options": to_json({name: told(value) for name, value in options.values.items()}),
        "train": _put_down(training.train, folder, "train"),
        "eval": None if training.eval is None else _put_down(training.eval, folder, "eval"),
        "folder": str(training.folder),
        "checkpoints": str(training.checkpoints),
        "base": str(training.base),
        "root": str(training.path("")),
        "gpus": training.gpus,
    }
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")


def _put_down(rows: Rows, folder: Path, name: str) -> dict[str, Any]:
    """Write rows as Arrow streams. Gives what `rank` opens them by."""
    import pyarrow as pa

    files: list[str] = []
    count = 0
    for schema, batches in groupby(rows.batches(), key=lambda batch: batch.schema):
        files.append(f"{name}-{len(files)}.arrow")
        with pa.ipc.new_stream(str(folder / files[-1]), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                count += batch.num_rows
    return {"columns": list(rows.columns), "files": files, "count": count}


@dataclass(slots=True)
class _Rank:
    """One running process of a training, the lines that it sends, and those that it is sent."""

    number: int
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    told: IO[bytes]
    failure: Mapping[str, Any] | None = None
    began: bytearray = field(default_factory=bytearray)

    @classmethod
    def start(cls, number: int, count: int, folder: Path, strategy: str) -> _Rank:
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
                env={**os.environ, **_environment(number, count, strategy)},
                # A group of its own, so that what it starts can be ended with it.
                process_group=0,
            )
        finally:
            os.close(says)
            os.close(hears)
        return cls(number, process, os.fdopen(said, "rb", buffering=0), os.fdopen(told, "wb"))

    def __enter__(self) -> _Rank:
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


@dataclass(frozen=True, slots=True)
class _Parent:
    """What this process does for the ranks: they are heard by `training`, and ask the `judges`, by name, through it."""

    training: Training
    judges: Mapping[str, ModelSpec]


def _environment(number: int, count: int, strategy: str) -> dict[str, str]:
    """What torch and accelerate read; a training of one rank is no distributed one. A rank imports what this process
    can."""
    paths = {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    if count == 1:
        return paths
    made: dict[str, Any] = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    threads = os.environ.get("OMP_NUM_THREADS") or max(1, len(os.sched_getaffinity(0)) // count)
    made |= {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
    environment = paths | {name: str(value) for name, value in made.items()}
    if strategy == "fsdp":
        environment |= {
            "ACCELERATE_USE_FSDP": "true",
            "FSDP_VERSION": "2",
            "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
            "FSDP_RESHARD_AFTER_FORWARD": "true",
            "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
            "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
        }
    return environment


def _follow(ranks: Sequence[_Rank], parent: _Parent) -> None:
    """Pass on what the ranks say until all have ended well. Raises DreamError when one has not."""
    with selectors.DefaultSelector() as selector:
        for rank in ranks:
            selector.register(rank.said, selectors.EVENT_READ, rank)
        until: float | None = None
        while selector.get_map() and (until is None or time.monotonic() < until):
            for key, _ in selector.select(None if until is None else max(0.0, until - time.monotonic())):
                if not _hear(key.data, parent):
                    selector.unregister(key.fileobj)
                if key.data.failure is not None and until is None:
                    until = time.monotonic() + GRACE
    failed = [rank for rank in ranks if rank.failure is not None]
    if failed:
        _fail(min(failed, key=_guilt), len(ranks), parent.training)


def _hear(rank: _Rank, parent: _Parent) -> bool:
    """Pass on what a rank says now. False where it has ended."""
    messages = rank.read()
    for message in messages or ():
        _pass_on(message, rank, parent)
    if messages is None and rank.process.wait() and rank.failure is None:
        rank.failure = {"killed": -rank.process.returncode}
    return messages is not None


def _pass_on(message: Mapping[str, Any], rank: _Rank, parent: _Parent) -> None:
    training = parent.training
    match message:
        case {"say": line}:
            training.say(line)
        case {"tell": line}:
            training.tell(line)
        case {"progress": [done, total, measures]}:
            training.progress(done, total, **measures)
        case {"error": fields}:
            training.error(RowError(**fields))
        case {"questions": questions, "judge": name, "scale": scale}:
            rank.answer({"scores": list(training.scores(parent.judges[name], questions, scale))})
        case {"failed": failure}:
            rank.failure = failure


def _guilt(rank: _Rank) -> tuple[int, float]:
    """The lowest is what the others failed of: a rank that is killed or fails leaves them waiting for it."""
    assert rank.failure is not None
    return (2 if rank.failure.get("left_alone") else 1 if "killed" in rank.failure else 0), rank.failure.get("at", 0.0)


def _fail(rank: _Rank, count: int, training: Training) -> None:
    failure: Mapping[str, Any] = rank.failure or {}
    name = f"process {rank.number + 1} of {count} of this training"
    if "killed" in failure:
        status = failure["killed"]
        how = f"was killed ({signal.Signals(status).name})" if status > 0 else f"ended with status {-status}"
        memory = status == signal.SIGKILL
        fail(
            "rank-failed",
            f"{name} {how}" + (", most likely out of memory" if memory else ""),
            hint="lower `per_device_train_batch_size` or `max_length`" if memory else "its log may say more",
            exit_code=1,
        )
    for line in failure["traceback"].splitlines():
        training.say(line)
    if failure["diagnostics"]:
        found = (Diagnostic(code, message, hint=hint) for code, message, hint in failure["diagnostics"])
        raise DreamError(*found, exit_code=failure["exit_code"])
    fail("rank-failed", f"{name} failed: {failure['message']}", hint="the log has the whole story", exit_code=1)
