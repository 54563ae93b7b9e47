"""The Python API: what the command line does, with values in place of text."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dreammake import Dreamfile, DreammakeError, build, plan
from tests.support.project import Project

DREAMFILE = """
    config:
        n: 2
        deep:
            word: "hello"

    rule numbers:
        output: "data/numbers"
        rows: [{"x": 1}, {"x": 2}, {"x": 3}]
        take: config.n

    rule words:
        input: "data/numbers"
        output: "data/words"
        map word: config.deep.word + " " + str(x)

    rule slow:
        output: "out/slow.txt"
        shell: "sleep 60; echo > {output}"

    rule wrong:
        output: "out/wrong.txt"
        shell: "exit 3"
"""


@pytest.fixture
def dreamfile(tmp_path: Path) -> Dreamfile:
    Project(tmp_path).write(DREAMFILE)
    return Dreamfile(tmp_path / "Dreamfile")


def test_plan_build_and_read(dreamfile: Dreamfile) -> None:
    planned = dreamfile.plan("data/words")
    assert [(one.target, one.rule, one.action) for one in planned.todo] == [
        ("data/numbers", "numbers", "build"),
        ("data/words", "words", "build"),
    ]
    assert planned.targets[0].reasons[0]["kind"] == "missing"
    assert planned.summary["build"] == 2
    assert not (dreamfile.folder / ".dreammake").exists(), "a plan writes nothing"
    events: list[Any] = []
    made = dreamfile.build("data/words", jobs=1, show=events.append)
    assert made.built == ("data/numbers", "data/words")
    assert [event["event"] for event in events][-1] == "build-finished"
    assert dreamfile.dataset("data/words")["word"][:] == ["hello 1", "hello 2"]
    assert dreamfile.plan("data/words").todo == ()
    assert dreamfile.build("data/words").built == ()
    assert dreamfile.build("data/words", force=True).built == ("data/words",)
    assert dreamfile.build("data/words", executor="local").fresh == 2
    with pytest.raises(DreammakeError, match="no executor `cloud`"):
        dreamfile.build("data/words", force=True, executor="cloud")


def test_config_is_overridden_by_values(dreamfile: Dreamfile) -> None:
    other = Dreamfile(dreamfile.path, config={"n": 1, "deep": {"word": "bye"}})
    other.build("data/words")
    assert other.dataset("data/words")[:] == {"x": [1], "word": ["bye 1"]}
    assert [one.target for one in dreamfile.plan("data/words").todo] == ["data/numbers", "data/words"]


def test_functions_take_the_path_of_a_dreamfile(dreamfile: Dreamfile, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(plan("data/words", dreamfile=dreamfile.path).todo) == 2
    assert build("data/words", dreamfile=dreamfile).built == ("data/numbers", "data/words")
    assert capsys.readouterr().out.splitlines()[-1] == "2 built, 0 failed, 0 up to date"


def test_every_command_has_its_document(dreamfile: Dreamfile) -> None:
    dreamfile.build("data/words")
    assert dreamfile.command("show", "data/words")["count"] == 2
    assert {job["target"] for job in dreamfile.command("log")["jobs"]} == {"data/numbers", "data/words"}


def test_what_is_wrong_is_an_error_with_its_place(dreamfile: Dreamfile) -> None:
    with pytest.raises(DreammakeError, match="did you mean `data/words`") as error:
        dreamfile.plan("data/wrods")
    assert [one.code for one in error.value.diagnostics] == ["unknown-target"]
    with pytest.raises(DreammakeError) as error:
        dreamfile.build("out/wrong.txt")
    assert (error.value.diagnostics[0].code, error.value.exit_code) == ("command-failed", 1)
    Path(dreamfile.path).write_text("rule x:\n    outptu: 1\n")
    with pytest.raises(DreammakeError, match="Dreamfile:2: "):
        dreamfile.build()
    with pytest.raises(DreammakeError, match="not built"):
        Project(dreamfile.folder).write(DREAMFILE)
        dreamfile.dataset("data/words")


def test_an_interrupt_ends_the_build(dreamfile: Dreamfile) -> None:
    def interrupt(event: Any) -> None:
        if event["event"] == "job-started":
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        dreamfile.build("out/slow.txt", show=interrupt)
    assert time.monotonic() - began < 30, "it did not wait for the command"
    assert not (dreamfile.folder / "out/slow.txt").exists()


def test_plan_is_a_function_whatever_was_imported_before(dreamfile: Dreamfile) -> None:
    code = "import dreammake.plan.graph\nfrom dreammake import plan\nprint(len(plan('data/words').todo))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=dreamfile.folder, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
