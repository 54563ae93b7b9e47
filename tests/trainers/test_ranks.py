"""A training in several processes on the CPU, where they stand for GPUs; `test_gpus` has those."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows, batch_of
from dreammake.trainers._processes import launch, rank
from dreammake.trainers._torch_trainer import TorchTrainer
from dreammake.trainers.sft import Sft
from tests.support.alike import HALF, WHOLE, assert_alike, trained
from tests.support.methods import facts_of
from tests.support.project import Project
from tests.support.ranks import Endless, Failing, Killed, Refusing
from tests.support.training import LORA, PAIR_TEXTS, Training, digests, sft_options, training_in

pytestmark = pytest.mark.timeout(300)


def test_full_training_is_sharded_and_an_adapter_is_not() -> None:
    assert Sft()._strategy(sft_options(**PAIR_TEXTS)) == "fsdp"
    assert Sft()._strategy(sft_options(**PAIR_TEXTS, peft=LORA)) == "ddp"
    assert Sft()._strategy(sft_options(**PAIR_TEXTS, peft=LORA, strategy="fsdp")) == "fsdp"


def test_rows_go_to_the_ranks_as_they_are(tmp_path: Path) -> None:
    """Batches of one stream may differ in type."""
    batches = [batch_of(("a",), [{"a": value}, {"a": value}]) for value in (1, 2, None, "x")]
    put_down = launch._put_down(Rows(("a",), lambda: iter(batches)), tmp_path, "train")
    rows = rank._rows(json.loads(json.dumps(put_down)), tmp_path)
    assert len(put_down["files"]) == 3
    assert [row["a"] for row in rows.dicts()] == [1, 1, 2, 2, None, None, "x", "x"]
    assert (rows.columns, rows.count) == (("a",), 8)


def test_more_gpus_than_there_are_is_known_before_anything_runs(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        """
        rule pairs:
            output: "data/pairs"
            rows: [{"word": "cat"}]

        rule model:
            input: "data/pairs"
            output: "models/m"
            resources:
                gpus: 2
            train sft:
                base: "smollm2"
                text: "{{ word }}"
        """
    )
    dry = project.run("-n", "all", CUDA_VISIBLE_DEVICES="0")
    assert dry.code == 0
    assert "warning[too-few-gpus]: `models/m` wants 2 GPUs, and this machine has 1" in dry.err
    assert project.run("-n", "all", CUDA_VISIBLE_DEVICES="0,1").err == ""
    result = project.run("all", CUDA_VISIBLE_DEVICES="0")
    assert result.code == 2
    assert "too-few-gpus" in result.err
    assert "`models/m` wants 2 GPUs, and this machine has 1" in result.err
    assert not (tmp_path / "data").exists()


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on the CPU stand for two GPUs."""
    monkeypatch.setenv(launch.CPU_RANKS, "2")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """All weights learned by two processes, each with a part of the model."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(launch.CPU_RANKS, "2")
        return trained(training_in(tmp_path_factory.mktemp("sharded")), **HALF)


@pytest.mark.slow
def test_two_sharded_processes_learn_what_one_does(sharded: Training, tmp_path: Path) -> None:
    (said,) = [line for line in sharded.lines if "processes" in line]
    assert said.startswith("2 processes, each with a part of the model (fsdp): ")
    mine, all_ = (
        int(word.replace(",", "")) for word in said.split() if word.replace(",", "").isdigit() and len(word) > 3
    )
    assert all_ * 0.49 < mine < all_ * 0.51
    assert facts_of(sharded)["processes"] == 2
    assert_alike(sharded, trained(training_in(tmp_path), **WHOLE))


@pytest.mark.slow
@pytest.mark.usefixtures("two")
def test_two_whole_processes_learn_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = trained(training_in(tmp_path / "ranks"), **HALF, peft=LORA, merge=True)
    monkeypatch.delenv(launch.CPU_RANKS)
    alone = trained(training_in(tmp_path / "alone"), **WHOLE, peft=LORA, merge=True)
    assert "2 processes, each with the whole model (ddp)" in ranks.lines
    assert_alike(ranks, alone)


@pytest.mark.slow
def test_a_process_of_its_own_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One GPU: its training has a process too, so that the GPU's memory is free when it ends."""
    here = trained(training_in(tmp_path / "here"), peft=LORA)
    monkeypatch.setenv(launch.CPU_RANKS, "1")
    there = trained(training_in(tmp_path / "there"), peft=LORA)
    assert digests(there.folder) == digests(here.folder)
    assert there.steps[0][0] == 1
    assert not list(there.checkpoints.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("two")
def test_sharded_processes_go_on_from_their_checkpoint(sharded: Training, tmp_path: Path) -> None:
    stopped = training_in(tmp_path)
    stopped.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        Sft().run(sft_options(**PAIR_TEXTS, **HALF, max_steps=2, save_steps=1), stopped)
    again = trained(training_in(tmp_path), **HALF, save_steps=1)
    assert again.told == ["going on from step 1"]
    assert digests(again.folder) == digests(sharded.folder)


def failure(method: type[TorchTrainer], folder: Path) -> tuple[Training, Diagnostic]:
    training = training_in(folder)
    with pytest.raises(DreamError) as error:
        method().run(OptionSet(), training)
    assert error.value.exit_code == 1
    (found,) = error.value.diagnostics
    return training, found


@pytest.mark.slow
@pytest.mark.usefixtures("two")
def test_the_process_that_failed_is_the_one_that_is_told_of(tmp_path: Path) -> None:
    training, found = failure(Failing, tmp_path)
    assert found.code == "rank-failed"
    assert found.message == "process 2 of 2 of this training failed: ValueError: the second one has had enough"
    assert "the first one waits" in training.lines
    assert training.lines[-1] == "ValueError: the second one has had enough"
    assert any("tests/support/ranks.py" in line for line in training.lines)
    assert children() == []


@pytest.mark.slow
@pytest.mark.usefixtures("two")
def test_a_mistake_of_the_user_is_told_as_ever(tmp_path: Path) -> None:
    training, found = failure(Refusing, tmp_path)
    assert (found.code, found.message, found.hint) == ("refused-options", "this cannot be", "do that")
    assert not any("Traceback" in line for line in training.lines)


@pytest.mark.slow
@pytest.mark.usefixtures("two")
def test_a_process_that_is_killed(tmp_path: Path) -> None:
    _, found = failure(Killed, tmp_path)
    assert found.message == "process 2 of 2 of this training was killed (SIGKILL), most likely out of memory"


@pytest.mark.slow
@pytest.mark.usefixtures("two")
def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    training = training_in(tmp_path)

    def progress(*_: Any, **__: float) -> None:
        assert len(children()) == 2
        raise KeyboardInterrupt

    training.progress = progress  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        Endless().run(OptionSet(), training)
    assert children() == []


@pytest.mark.slow
@pytest.mark.usefixtures("two")
def test_a_parent_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from dreammake.core.options import OptionSet
from tests.support.ranks import Endless
from tests.support.training import training_in

training = training_in(Path(sys.argv[1]))
training.progress = lambda *_: print("begun", flush=True)
Endless().run(OptionSet(), training)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begun\n"
        ranks = children(parent.pid)
        assert len(ranks) == 2
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20
    while any(Path(f"/proc/{rank}").exists() for rank in ranks):
        assert time.monotonic() < until
        time.sleep(0.05)


def children(parent: int | None = None) -> list[int]:
    """The processes that a process started itself."""
    of = parent or os.getpid()
    return [int(child) for child in Path(f"/proc/{of}/task/{of}/children").read_text().split()]
