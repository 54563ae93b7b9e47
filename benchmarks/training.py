"""Trainings beside the same training by a bare script of TRL: the same rows, the same model, the same options.

Both sides are whole processes. The script prints when its first step ends, and dreammake's own progress tells the same:
there a training is cut in two, its start and the rest. The model is the first four layers of the embedded one.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import Measured
from results import Result, Target

from dreammake.core.embedded import converted_once

ROWS = 256
BATCH = 4
SCRIPT = Path(__file__).parent / "training_script.py"
DREAMFILE = """
rule rows:
    output: "data/rows"
    load: "rows.jsonl"

rule model:
    input: "data/rows"
    output: "models/m"
    train {method}:
        base: "base/small"
        {data}
        peft: lora(r=8)
        per_device_train_batch_size: {batch}
        max_steps: {steps}
        save_strategy: "no"
        logging_steps: 1
"""
DATA = {
    "sft": 'prompt: "{{ prompt }}"\n        completion: "{{ chosen }}"',
    "dpo": 'prompt: "{{ prompt }}"\n        chosen: "{{ chosen }}"\n        rejected: "{{ rejected }}"',
    "reward": 'prompt: "{{ prompt }}"\n        chosen: "{{ chosen }}"\n        rejected: "{{ rejected }}"',
}


@dataclass(slots=True)
class Run:
    """One training: seconds until its first step had ended, and from there to the end; the peak of its processes."""

    first: float = 0.0
    rest: float = 0.0
    mebibytes: float = 0.0
    problem: str = ""


@dataclass(slots=True)
class Contest:
    """The runs of each side of one case."""

    taken: dict[str, list[Run]] = field(default_factory=dict)

    def measured(self, part: str) -> Mapping[str, Measured]:
        return {name: _median(runs, part) for name, runs in self.taken.items()}


def cases(folder: Path, runs: int, steps: int = 40) -> Iterator[Result]:
    """Measure in `folder`: each method against its script, and two processes against one."""
    folder.mkdir(parents=True, exist_ok=True)
    base = converted_once("smollm2-4-layers-float32", lambda line: None, num_hidden_layers=4)
    for method in DATA:
        contest = Contest()
        for _ in range(runs):
            for name, run in (("dreammake", _dreammake), ("script", _script)):
                contest.taken.setdefault(name, []).append(run(folder / method / name, method, base, steps, BATCH, 0))
        case = f"train {method}, {steps} steps of {BATCH} rows"
        rest = contest.measured("rest")
        wall = Target("1.03 times a TRL script, 1.05 times its memory", "script", 1.03, mebibytes=_memory(rest))
        yield Result(f"{case}: after the first step", rest, (wall,))
        yield Result(f"{case}: to the first step", contest.measured("first"), (Target("1.1 times it", "script", 1.1),))
    yield _scaling(folder / "scaling", base, runs, steps)


def _memory(measured: Mapping[str, Measured]) -> float:
    return 1.05 * measured["script"].mebibytes


def _scaling(folder: Path, base: Path, runs: int, steps: int) -> Result:
    """Two processes on the CPU with half the batch each: what they gain depends on the cores."""
    contest = Contest()
    for _ in range(runs):
        for name, ranks, batch in (("dreammake", 2, BATCH // 2), ("one process", 1, BATCH)):
            contest.taken.setdefault(name, []).append(_dreammake(folder / name, "sft", base, steps, batch, ranks))
    return Result(
        f"train sft in two processes, {steps} steps of {BATCH} rows: after its start", contest.measured("rest")
    )


def _dreammake(folder: Path, method: str, base: Path, steps: int, batch: int, ranks: int) -> Run:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "base").mkdir(parents=True)
    (folder / "base/small").symlink_to(base)
    _write_rows(folder / "rows.jsonl")
    data = DATA[method]
    (folder / "Dreamfile").write_text(DREAMFILE.format(method=method, data=data, batch=batch, steps=steps))
    command = [sys.executable, "-m", "dreammake"]
    subprocess.run([*command, "data/rows"], cwd=folder, check=True, capture_output=True)
    environment = {"DREAMMAKE_CPU_RANKS": str(ranks)} if ranks else {}
    return _timed([*command, "models/m", "--json"], folder, environment, _is_first_progress)


def _is_first_progress(line: str) -> bool:
    return '"event": "job-progress"' in line and json.loads(line)["unit"] == "steps"


def _script(folder: Path, method: str, base: Path, steps: int, batch: int, _: int) -> Run:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write_rows(folder / "rows.jsonl")
    command = [sys.executable, str(SCRIPT), method, str(base), str(steps), str(batch)]
    return _timed(command, folder, {}, lambda line: line.startswith("first step"))


def _write_rows(file: Path) -> None:
    with file.open("w") as rows:
        for number in range(ROWS):
            row = {"prompt": f"What is {number} and {number}? " + "Think of it well. " * (number % 7)}
            row |= {"chosen": f"It is {2 * number}.", "rejected": f"It may be {number}, or not."}
            rows.write(json.dumps(row) + "\n")


def _timed(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], is_first: Callable[[str], bool]
) -> Run:
    """Run a command and watch its lines for the end of the first step."""
    own = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment}
    began, first = time.perf_counter(), 0.0
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(command, cwd=folder, env=own, stdout=subprocess.PIPE, stderr=errors, text=True)
        watch = Watch(process.pid)
        watch.start()
        assert process.stdout is not None
        for line in process.stdout:
            if not first and is_first(line):
                first = time.perf_counter() - began
        process.wait()
    watch.done.set()
    watch.join()
    whole = time.perf_counter() - began
    if process.returncode or not first:
        lines = (folder / "stderr").read_text().strip().splitlines()
        return Run(problem=f"exit {process.returncode}: {lines[-1][:120] if lines else 'no step was told of'}")
    return Run(first, whole - first, watch.peak)


class Watch(threading.Thread):
    """The largest sum of what a process and all that it started hold in memory (PSS), in MiB; ten looks a second."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.done = threading.Event()
        self._process = process

    def run(self) -> None:
        while not self.done.wait(0.1):
            self.peak = max(self.peak, sum(map(_pss, _family(self._process))))


def _family(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [process, *(member for child in children for member in _family(int(child)))]


def _pss(process: int) -> float:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def _median(runs: Sequence[Run], part: str) -> Measured:
    for run in runs:
        if run.problem:
            return Measured(problem=run.problem)
    return Measured(
        statistics.median(getattr(run, part) for run in runs), statistics.median(run.mebibytes for run in runs)
    )
