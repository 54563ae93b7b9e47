"""Runs a training in processes of its own, its ranks, one a GPU, and none of them outlives it.

This process reads the rows once and puts them down as Arrow files, starts the ranks (`rank`), passes on what they say,
and asks a judge for them. There is no launcher and no port to choose: the ranks meet at a file. A rank that fails takes
the others with it. Where the job has several machines, this runs on the first one, and `node` on each of the others.

    order.json      what to train: method, options, base, columns, paths; written last
    train-0.arrow   the rows, a file for each run of batches of one schema
    meeting         where the ranks find each other
    failed-1.json   what failed on another machine
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError, fail
from dreammake.core.judgement import told
from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import RowError
from dreammake.core.trainer import Trainer, Training
from dreammake.core.values import ModelSpec, models_in, to_json
from dreammake.trainers._arrow_files import put_down
from dreammake.trainers._processes import crew
from dreammake.trainers._processes.crew import Crew, Rank, write_whole

CPU_RANKS = "DREAMMAKE_CPU_RANKS"
"""So many processes on the CPU stand for GPUs: for tests, and to try a Dreamfile where there is no GPU."""

Failure = Mapping[str, Any]


def rank_count(training: Training) -> int:
    """In how many processes of their own a training runs on each of its machines; 0: in this one. Even one GPU has one:
    its memory is free when the process ends, which it is not where a worker lives on. Machines without a GPU have one,
    too."""
    return training.gpus or int(os.environ.get(CPU_RANKS) or training.nodes > 1)


def launch(method: type[Trainer], options: OptionSet, training: Training, count: int, strategy: str) -> None:
    """Train in `count` ranks on each machine. Raises DreamError where one of them fails."""
    ours = Crew(0, training.nodes, count, strategy)
    folder = training.meeting or training.checkpoints / "launch"
    if training.meeting is None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    try:
        _write_order(method, options, training, ours, folder)
        judges = {judge.name: judge for judge in models_in([*options.values.values()])}
        failures = crew.run(ours, folder, partial(_pass_on, training=training, judges=judges))
        if failures:
            _fail(min([*failures, *_failed_elsewhere(ours, folder)], key=_guilt), ours.count, training)
    finally:
        if training.meeting is None:
            shutil.rmtree(folder, ignore_errors=True)


def _write_order(method: type[Trainer], options: OptionSet, training: Training, ours: Crew, folder: Path) -> None:
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
        "machines": ours.machines,
        "ranks": ours.ranks,
        "strategy": ours.strategy,
    }
    write_whole(order, folder / "order.json")


def _put_down(rows: Rows, folder: Path, name: str) -> dict[str, Any]:
    """Write rows where the ranks read them. Gives what `rank` opens them by."""
    files, count = put_down(rows.batches(), folder, name)
    return {"columns": list(rows.columns), "files": files, "count": count}


def _pass_on(message: Mapping[str, Any], rank: Rank, *, training: Training, judges: Mapping[str, ModelSpec]) -> None:
    """Do what the first rank says: it is heard by `training`, and asks the `judges`, by name, through it."""
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
            rank.answer({"scores": list(training.scores(judges[name], questions, scale))})


def _failed_elsewhere(ours: Crew, folder: Path) -> Sequence[Failure]:
    """What failed on other machines, which have a moment to put it down."""
    if ours.machines == 1:
        return []
    until = time.monotonic() + 2 * crew.GRACE
    while not (found := [*folder.glob("failed-*.json")]) and time.monotonic() < until:
        time.sleep(0.1)
    return [failure for place in found for failure in json.loads(place.read_text(encoding="utf-8"))]


def _guilt(failure: Failure) -> tuple[int, float]:
    """The lowest is what the others failed of: a rank that is killed or fails leaves them waiting for it."""
    return (2 if failure.get("left_alone") else 1 if "killed" in failure else 0), failure.get("at", 0.0)


def _fail(failure: Failure, count: int, training: Training) -> None:
    name = f"process {failure['rank'] + 1} of {count} of this training"
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
