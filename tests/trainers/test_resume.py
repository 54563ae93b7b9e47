"""A training that stops before its end: killed, out of memory or disk, with a loss that is no number, or early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.trainers import _checkpoint
from dreammake.trainers.sft import Sft
from tests.support.project import Project
from tests.support.small_model import small_model
from tests.support.training import LORA, PAIR_TEXTS, PAIRS, Training, digests, sft_options, training_in

ALONE = {"processes": 1}
DREAMFILE = """
rule pairs:
    output: "data/pairs"
    rows: [{"question": f"What is {n} and {n}?", "answer": f"It is {2 * n}."} for n in range(16)]

rule adder:
    input: "data/pairs"
    output: "models/adder"
    train sft:
        base: "base/small"
        prompt: "{{ question }}"
        completion: "{{ answer }}"
        peft: lora(r=4)
        per_device_train_batch_size: 2
        max_steps: 7
        save_steps: 2
        logging_steps: 3
"""


def checkpoint(folder: Path, step: int, made_by: dict[str, Any] | None = ALONE) -> Path:
    """A checkpoint of two files, marked unless `made_by` is None."""
    place = folder / f"checkpoint-{step}"
    (place / "inner").mkdir(parents=True)
    (place / "weights").write_bytes(b"12345")
    (place / "inner/state").write_bytes(b"1")
    if made_by is not None:
        _checkpoint.mark(place, made_by)
    return place


def test_the_last_complete_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    for step in (2, 10, 4):
        checkpoint(tmp_path, step)
    assert _checkpoint.last(tmp_path, ALONE) == _checkpoint.Resumption(tmp_path / "checkpoint-10")


def test_half_written_and_damaged_ones_are_passed_over_in_words(tmp_path: Path) -> None:
    good = checkpoint(tmp_path, 2)
    (checkpoint(tmp_path, 4) / "inner/state").write_bytes(b"")
    checkpoint(tmp_path, 6, made_by=None)
    found = _checkpoint.last(tmp_path, ALONE)
    assert found.checkpoint == good
    assert found.passed_over == (
        "checkpoint-6 is passed over: it is half-written",
        "checkpoint-4 is passed over: inner/state in it is not what was written",
    )


def test_other_processes_begin_anew(tmp_path: Path) -> None:
    checkpoint(tmp_path, 2, {"processes": 2, "strategy": "fsdp"})
    found = _checkpoint.last(tmp_path, ALONE)
    assert found.checkpoint is None
    assert found.passed_over == (
        "checkpoint-2 is passed over: it was made by 2 processes (fsdp), and this training runs on 1 process",
    )


def test_older_checkpoints_go_and_the_best_one_stays(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        checkpoint(tmp_path, step)
    _checkpoint.remove_older(tmp_path, 2, str(tmp_path / "checkpoint-2"))
    assert sorted(place.name for place in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-6", "checkpoint-8"]


@pytest.mark.slow
def test_a_build_that_is_killed_goes_on_and_makes_the_same_bytes(tmp_path: Path) -> None:
    whole, killed = (project(tmp_path / name) for name in ("whole", "killed"))
    whole.ok("all")
    older = killed.root / ".dreammake/checkpoints/models__adder/an-earlier-recipe"
    older.mkdir(parents=True)
    kill_when(killed, "checkpoint-4/complete")
    assert older.exists()
    assert not (killed.root / "models/adder").exists()
    again = killed.ok("all")
    assert "models/adder  going on from step 4" in again.out + again.err
    assert digests(killed.root / "models/adder") == digests(whole.root / "models/adder")
    assert not list((killed.root / ".dreammake/checkpoints").glob("*"))


def project(folder: Path) -> Project:
    (folder / "base").mkdir(parents=True)
    (folder / "base/small").symlink_to(small_model())
    made = Project(folder)
    made.write(DREAMFILE)
    return made


def kill_when(project: Project, found: str) -> None:
    """Build, and kill the build and its workers as soon as there is such a file in a checkpoint folder."""
    build = project.start("all")
    until = time.monotonic() + 90
    while not list(project.root.glob(f".dreammake/checkpoints/models__adder/*/{found}")):
        assert build.poll() is None and time.monotonic() < until, build.communicate()
        time.sleep(0.01)
    for process in [*children_of(build.pid), build.pid]:
        os.kill(process, signal.SIGKILL)
    build.communicate()


def children_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [process for child in map(int, children) for process in (*children_of(child), child)]


def stopped_at(folder: Path, step: int, **given: Any) -> Training:
    """A training that was interrupted after a step."""
    training = training_in(folder)
    training.stop_at = step
    with pytest.raises(KeyboardInterrupt):
        Sft().run(sft_options(**PAIR_TEXTS, peft=LORA, **given), training)
    return training


@pytest.mark.slow
def test_checkpoints_by_the_clock_do_not_change_the_model(tmp_path: Path) -> None:
    whole = training_in(tmp_path / "whole")
    Sft().run(sft_options(**PAIR_TEXTS, peft=LORA, save_strategy="no", checkpoint_minutes=0), whole)
    assert not list(whole.checkpoints.iterdir())
    stopped_at(tmp_path / "stopped", 3, save_strategy="no", checkpoint_minutes=1e-9)
    again = training_in(tmp_path / "stopped")
    Sft().run(sft_options(**PAIR_TEXTS, peft=LORA, save_strategy="no", checkpoint_minutes=1e-9), again)
    assert again.told == ["going on from step 2"]
    assert digests(again.folder) == digests(whole.folder)


def failure(folder: Path, **given: Any) -> tuple[Training, DreamError]:
    training = training_in(folder)
    with pytest.raises(DreamError) as error:
        Sft().run(sft_options(**PAIR_TEXTS, peft=LORA, **given), training)
    assert error.value.exit_code == 1
    return training, error.value


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    """The learning rate is 0 in the first step, and far too high in the second."""
    given = {"learning_rate": 1e38, "warmup_steps": 3, "max_steps": 6, "save_steps": 1, "logging_steps": 5}
    training, error = failure(tmp_path, **given)
    (found,) = error.diagnostics
    assert found.code == "nan-loss"
    assert found.message.endswith("at step 3 (the last good checkpoint is that of step 2)")
    assert _checkpoint.last(training.checkpoints, ALONE).step == 2


@pytest.mark.slow
def test_a_disk_that_is_full_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    training = training_in(tmp_path)
    full = training.checkpoints / "checkpoint-2"
    training.progress = lambda done, *_, **__: fill(full) if done == 1 else None  # type: ignore[method-assign]
    with pytest.raises(DreamError) as error:
        Sft().run(sft_options(**PAIR_TEXTS, peft=LORA, save_steps=1), training)
    (found,) = error.value.diagnostics
    assert (found.code, found.message) == (
        "disk-full",
        "the disk is full: the checkpoint of step 2 could not be written",
    )
    assert found.hint.endswith("the training goes on from step 1")
    assert _checkpoint.last(training.checkpoints, ALONE).step == 1
    assert not full.exists()


def fill(folder: Path) -> None:
    """A file of a checkpoint-to-be for which there is no space."""
    folder.mkdir()
    (folder / "optimizer.pt").symlink_to("/dev/full")


@pytest.mark.slow
def test_memory_that_is_full_says_what_to_lower(tmp_path: Path) -> None:
    """A process that may have 4 GiB of addresses, and a batch that needs far more."""
    script = """
        import resource, sys
        from pathlib import Path
        from dreammake.core.diagnostic import DreamError
        from dreammake.trainers.sft import Sft
        from tests.support.training import PAIR_TEXTS, LORA, sft_options, training_in
        import torch, trl.trainer.sft_trainer

        rows = [{"question": "why " * 4000, "answer": "so " * 4000}] * 16
        training = training_in(Path(sys.argv[1]), rows)
        now = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (now + 2**31, now + 2**31))
        try:
            Sft().run(sft_options(**PAIR_TEXTS, peft=LORA, max_length=8192, per_device_train_batch_size=16), training)
        except DreamError as error:
            print(error.diagnostics[0].code, error.diagnostics[0].hint)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("out-of-memory halve the batch"), done.stdout + done.stderr
    assert "per_device_train_batch_size: 8, gradient_accumulation_steps: 2" in done.stdout


@pytest.mark.slow
def test_it_stops_early_and_the_best_model_is_the_result(tmp_path: Path) -> None:
    """A learning rate that is far too high: the first measurement is the best one."""
    given = {"learning_rate": 5.0, "eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True}
    training = training_in(tmp_path, eval_rows=PAIRS[:4])
    options = sft_options(
        **PAIR_TEXTS, peft=LORA, merge=True, max_steps=9, early_stopping_patience=2, warmup_steps=8, **given
    )
    Sft().run(options, training)
    facts = json.loads((training.folder / "training.json").read_text())
    log = [json.loads(line) for line in (training.folder / "training_log.jsonl").read_text().splitlines()]
    measured = {entry["step"]: entry["eval_loss"] for entry in log if "eval_loss" in entry}
    assert facts["best_step"] == min(measured, key=lambda step: measured[step])
    assert facts["steps"] == facts["best_step"] + 2 < 9
    assert facts["best_metric"] == measured[facts["best_step"]]
    assert "eval_mean_token_accuracy" in facts
    assert loss_of_result(training) == pytest.approx(facts["best_metric"], rel=1e-4)


def loss_of_result(training: Training) -> float:
    """The loss of the model in the folder on the rows of `eval`: of a step that learns nothing."""
    again = training_in(training.folder.parent / "again", PAIRS[:4])
    again.base = training.folder
    Sft().run(sft_options(**PAIR_TEXTS, max_steps=1, learning_rate=0.0), again)
    return float(json.loads((again.folder / "training.json").read_text())["loss"])


@pytest.mark.slow
def test_stopping_early_wants_something_to_measure_on(tmp_path: Path) -> None:
    _, error = failure(tmp_path, early_stopping_patience=2)
    assert error.diagnostics[0].code == "missing-input"


@pytest.mark.slow
def test_checkpoints_of_other_options_are_not_gone_on_from_and_that_is_said(tmp_path: Path) -> None:
    stopped_at(tmp_path, 3, save_steps=1)
    training = training_in(tmp_path)
    training.checkpoints = beside(training.checkpoints, "earlier") / "now"
    training.checkpoints.mkdir()
    Sft().run(sft_options(**PAIR_TEXTS, peft=LORA, max_steps=1), training)
    assert training.told == ["the checkpoints are of a training on other data or options, so this one begins anew"]


def beside(checkpoints: Path, name: str) -> Path:
    """Put checkpoints into a folder of their own, as those of one recipe. Returns the folder of all recipes."""
    whole = checkpoints.rename(checkpoints.parent / name)
    checkpoints.mkdir()
    whole.rename(checkpoints / name)
    return checkpoints
