"""A training on several machines: processes of this one stand for them, each with one rank, and meet in a folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import OptionSet
from tests.support.alike import HALF, WHOLE, assert_alike, trained
from tests.support.methods import facts_of
from tests.support.project import Project
from tests.support.ranks import Failing
from tests.support.training import LORA, Training, training_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@contextmanager
def second_machine(training: Training) -> Iterator[subprocess.Popen[bytes]]:
    """Another machine for a training, as an executor would start it."""
    training.nodes = 2
    training.meeting = training.folder.parent / "meeting"
    training.meeting.mkdir()
    command = [sys.executable, "-m", "dreammake.trainers._processes.node", str(training.meeting), "1"]
    with subprocess.Popen(command) as node:
        try:
            yield node
        finally:
            node.terminate()


@pytest.mark.parametrize("given", [{}, {"peft": LORA, "merge": True}], ids=["fsdp", "ddp"])
def test_two_machines_learn_what_one_does(tmp_path: Path, given: dict[str, Any]) -> None:
    two = training_in(tmp_path / "two")
    with second_machine(two) as node:
        trained(two, **HALF, **given)
        assert node.wait(20) == 0
    assert any("2 processes, each with " in line for line in two.lines)
    assert facts_of(two)["processes"] == 2
    assert_alike(two, trained(training_in(tmp_path / "one"), **WHOLE, **given))


def test_what_failed_on_another_machine_is_told_of(tmp_path: Path) -> None:
    training = training_in(tmp_path)
    with second_machine(training) as node, pytest.raises(DreamError) as error:
        try:
            Failing().run(OptionSet(), training)
        finally:
            assert node.wait(20) == 1
    (found,) = error.value.diagnostics
    assert found.message == "process 2 of 2 of this training failed: ValueError: the second one has had enough"
    assert training.lines[-1] == "ValueError: the second one has had enough"


def test_an_executor_with_machines_trains_on_them(tmp_path: Path) -> None:
    """The whole way: `nodes` in a Dreamfile, an executor that is a plug-in, the other machine, the model."""
    plugin = tmp_path / "plugin"
    about = plugin / "two_machines-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: two-machines\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[dreammake.executors]\ntwo = tests.support.machines:TwoMachines\n")
    project = Project(tmp_path / "project").write(
        """
        rule pairs:
            output: "data/pairs"
            rows: [{"word": "cat", "plural": "cats"}, {"word": "box", "plural": "boxes"}]

        rule model:
            input: "data/pairs"
            output: "models/m"
            resources:
                nodes: 2
            train sft:
                base: "smollm2"
                prompt: "{{ word }}"
                completion: " {{ plural }}"
                peft: lora(r=4)
                max_steps: 1
        """
    )
    refused = project.run("all")
    assert (refused.code, "`models/m` wants 2 machines, and this executor has 1" in refused.err) == (2, True)
    project.ok("all", "--executor", "two", PYTHONPATH=f"{plugin}:{Path(__file__).parents[2]}")
    assert '"processes": 2' in (project.root / "models/m/training.json").read_text()
    assert not list(project.root.glob(".dreammake/tmp/meeting*"))
