from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError, Note, fail
from dreammake.core.options import Command, OptionSet, Str
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work

_GRACE = 5.0
"""Seconds that an interrupted command has to end by itself."""
_LAST_LINES = 10
_TAIL_BYTES = 16_384


class Shell(Step):
    """Runs a command in the project's folder. It makes the outputs itself, as plain files or folders.

    `{input}`, `{input.name}`, `{output}`, `{wildcards.name}` and `{config.name}` stand for the words, quoted for the
    shell; `{{` and `}}` are braces. What the command prints goes to the job's log. It succeeds by ending with 0 and
    leaving every output; `set -e` makes it stop at the first command that fails.
    """

    value = "command"
    last = True
    makes = "file"
    pure = False
    paper = ""
    example = """
rule all:
    output: "out/hello.txt"
    shell: "echo hello > {output}"
"""

    class Options(OptionSet):
        command = Command("The command.")
        executable = Str("The shell that runs it, called with `-c`.", default="/bin/sh")

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        return None

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Mapping[str, Rows]:
        log = getattr(work, "log_path", None) or work.folder() / "log"
        begin, is_our_output = _state_of(str(log))
        words = [options.executable, "-c", options.command]
        status = _run(words, str(work.path("")), None if is_our_output else str(log), work.meanwhile)
        if status != 0:
            _failed(status, Path(getattr(work, "log_path", log)), begin)
        return {}


def _run(words: list[str], folder: str, log: str | None, meanwhile: Callable[[], None]) -> int:
    """Run a command in a folder, in a process group of its own, with its output added to a log (None: where ours goes).
    Gives its exit code, negative for a signal. posix_spawn knows no folder, so a shell changes to it where it is not
    ours."""
    if folder != os.getcwd() and not os.path.samefile(folder, os.curdir):
        words = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', folder, *words]
    actions: list[tuple[object, ...]] = []
    if log is not None:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
    # The dict that os.environb stands for: to go through the mapping itself is slow, and this is done for each job.
    environment = getattr(os.environb, "_data", os.environb)
    # An interrupt between the start of the command and the `try` below would leave it running for ever.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process = os.posix_spawn(
            words[0], words, environment, file_actions=actions, setpgroup=0, setsigmask=[], setsigdef=[signal.SIGINT]
        )
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        fail("command-failed", f"`{words[0]}` cannot be started: {error.strerror}", exit_code=1)
    try:
        meanwhile()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    except BaseException:
        _end(process)
        raise


def _state_of(log: str) -> tuple[int, bool]:
    """How long the log is, and whether what this process prints goes there already: then a command need not open it."""
    try:
        found = os.stat(log)
    except OSError:
        return 0, False
    return found.st_size, os.path.samestat(os.fstat(1), found)


def _end(process: int) -> None:
    """End a process group: politely, then not."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process, how)
        except ProcessLookupError:
            return
        until = time.monotonic() + _GRACE
        while time.monotonic() < until:
            try:
                if os.waitpid(process, os.WNOHANG)[0]:
                    break
            except ChildProcessError:
                break
            time.sleep(0.01)


def _failed(status: int, log: Path, begin: int) -> None:
    lines = _last_lines(log, begin)
    note = (Note("its last lines:\n" + "\n".join(lines)),) if lines else ()
    raise DreamError(Diagnostic("command-failed", f"the command {_how(status)}", notes=note), exit_code=1)


def _how(status: int) -> str:
    if status < 0:
        return f"was ended by the signal {signal.Signals(-status).name}"
    known = {126: ", something in it cannot be run", 127: ", something in it was not found"}
    return f"ended with the exit code {status}{known.get(status, '')}"


def _last_lines(log: Path, begin: int) -> list[str]:
    """The last lines that were written to the log since it was `begin` bytes long."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(begin, size - _TAIL_BYTES))
        return file.read().decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
