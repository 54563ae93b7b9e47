"""Commands: real shells, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.job import Put
from dreammake.core.rows import Rows
from dreammake.steps.shell import Shell
from tests.support.work import TestWork

NOTHING = Rows((), lambda: iter(()))


class LoggedWork(TestWork):
    def __init__(self, project: Path, *outputs: str) -> None:
        super().__init__(project, outputs=[Put(None, path) for path in outputs])
        self.log_path = project / "job.log"

    def output_path(self, path: str) -> Path:
        return self.project / (path + ".part")


def shell(command: str, work: TestWork) -> None:
    assert Shell().run(Shell.Options({"command": command}), None, NOTHING, work) == {}


def test_a_command_runs_in_the_project_and_makes_its_output(tmp_path: Path) -> None:
    work = LoggedWork(tmp_path, "out/deep/x.txt")
    (tmp_path / "out/deep").mkdir(parents=True)
    shell("pwd > out/deep/x.txt.part; echo said; echo aside >&2", work)
    assert (tmp_path / "out/deep/x.txt.part").read_text().strip() == str(tmp_path)
    assert work.log_path.read_text() == "said\naside\n"


def test_it_needs_no_log(tmp_path: Path) -> None:
    work = TestWork(tmp_path, outputs=[Put(None, "a")])
    shell("cat > a", work)
    assert (tmp_path / "a").read_text() == ""


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("exit 3", "the command ended with the exit code 3"),
        ("no-such-program-xyz", "ended with the exit code 127, something in it was not found"),
        ("kill -SEGV $$", "was ended by the signal SIGSEGV"),
    ],
)
def test_failures_say_how(tmp_path: Path, command: str, message: str) -> None:
    work = LoggedWork(tmp_path)
    work.log_path.write_text("from an earlier step\n")
    with pytest.raises(DreamError, match=message) as error:
        shell(f"seq 30; {command}", work)
    found = error.value.diagnostics[0]
    assert (found.code, error.value.exit_code) == ("command-failed", 1)
    assert "earlier" not in found.notes[0].message
    assert "25\n" in found.notes[0].message
    assert "\n5\n" not in found.notes[0].message


def test_an_interrupt_ends_the_command_with_its_children(tmp_path: Path) -> None:
    """A process of its own is interrupted; the command's child must be gone with it."""
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path.cwd())!r})
from tests.steps.test_shell import LoggedWork, shell
shell("sleep 600 & echo $! > child; echo ready > ready.fifo; wait", LoggedWork(Path({str(tmp_path)!r})))
"""
    os.mkfifo(tmp_path / "ready.fifo")
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert (tmp_path / "ready.fifo").read_text() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate()[1]
    child = (tmp_path / "child").read_text().strip()
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_the_file_imports_nothing_heavy() -> None:
    code = "import sys, dreammake.steps.shell; print('pyarrow' in sys.modules, 'subprocess' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split()[0] == "False"
