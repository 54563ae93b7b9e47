"""Finds the command among the words, runs it, and turns errors into words and exit codes."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NoReturn

COMMANDS = [
    "build",
    "why",
    "status",
    "list",
    "log",
    "show",
    "trace",
    "diff",
    "try",
    "watch",
    "dag",
    "report",
    "lint",
    "fmt",
    "explain",
    "help",
    "init",
    "clean",
    "accept",
    "cache",
    "publish",
    "lock",
    "verify",
    "export",
    "import",
]
"""Words that are commands; a target of such a name is built by `dreammake build NAME`."""

_VALUED = (
    "-C",
    "-f",
    "--state-dir",
    "-j",
    "--config",
    "--configfile",
    "--exclude",
    "--pool",
    "--budget",
    "--executor",
    "--cache-url",
    "--to",
    "--revision",
    "--tag",
)
"""Options that take the next word, so that it is no command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line. 0 done; 1 a job failed; 2 something is wrong as it is written; 130 interrupted."""
    # What a plan allocates lives until the end: looking for garbage in it only costs time.
    gc.disable()
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        from dreammake import __version__

        print(f"dreammake {__version__}")
        return 0
    command, rest = split(words)
    with redirect_stdout(_hiding(sys.stdout)), redirect_stderr(_hiding(sys.stderr)):
        return _guarded(command, rest)


def _hiding(stream: Any) -> Any:
    from dreammake.core.secrets import HidingStream

    return HidingStream(stream)


def _guarded(command: str, rest: list[str]) -> int:
    try:
        return _run(command, rest)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except RecursionError:
        raise
    except Exception as error:
        return _failed(error, "--json" in rest)


def entry() -> NoReturn:
    """The command `dreammake`: runs, and leaves at once. To free the objects of a large plan one by one would only take
    time."""
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        pass
    os._exit(code)


def split(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command (`build` where none is named), and the other words."""
    skip = False
    for at, word in enumerate(words):
        if skip:
            skip = False
        elif word in _VALUED:
            skip = True
        elif not word.startswith("-"):
            if word in COMMANDS:
                return word, [*words[:at], *words[at + 1 :]]
            break
    return "build", list(words)


def _run(command: str, words: list[str]) -> int:
    module = importlib.import_module(f"dreammake.cli.{module_of(command)}")
    parser = Parser(
        prog="dreammake" if command == "build" else f"dreammake {command}",
        description=module.__doc__,
        epilog=overview() if command == "build" and {"-h", "--help"} & set(words) else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_intermixed_args(words)))


def module_of(command: str) -> str:
    """The file of a command; two names are words of Python's own."""
    return {"list": "list_rules", "help": "help", "try": "try_rows", "import": "import_bundle"}.get(command, command)


def overview() -> str:
    """The commands, a line each, for `--help`."""
    lines = ["commands:"]
    for command in COMMANDS:
        doc = importlib.import_module(f"dreammake.cli.{module_of(command)}").__doc__ or ""
        lines.append(f"  {command:<9} {doc.strip().splitlines()[0]}")
    return "\n".join([*lines, "", "`dreammake COMMAND --help` tells more of one."])


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are drawn as all others are."""

    def error(self, message: str) -> Any:
        from dreammake.core.diagnostic import fail
        from dreammake.core.spelling import nearest

        hint = f"`{self.prog} --help` shows what it takes"
        if message.startswith("unrecognized arguments: "):
            word = message.split(": ", 1)[1].split()[0]
            near = nearest(word, [name for action in self._actions for name in action.option_strings])
            message, hint = f"there is no option `{word}`", f"did you mean `{near}`?" if near else hint
        fail("bad-arguments", message, hint=hint)


def _failed(error: Exception, as_json: bool) -> int:
    from dreammake.core.diagnostic import Diagnostic, DreamError

    if not isinstance(error, DreamError):
        if os.environ.get("DREAMMAKE_TRACEBACK"):
            raise error
        where = _innermost(error)
        message = f"dreammake itself failed: {type(error).__name__}: {error} ({where})"
        hint = "please report it; DREAMMAKE_TRACEBACK=1 shows the whole story"
        error = DreamError(Diagnostic("internal", message, hint=hint), exit_code=1)
    from dreammake.core.secrets import SECRETS

    error = DreamError(*map(SECRETS.hide_from, error.diagnostics), exit_code=error.exit_code)
    if as_json:
        from dreammake.display.json_lines import diagnostic_to_json, document

        print(document({"errors": [diagnostic_to_json(diagnostic) for diagnostic in error.diagnostics]}))
        return error.exit_code
    from dreammake.cli.terminal import colour_of, width_of
    from dreammake.display.excerpt import draw_all

    sys.stdout.flush()
    print(draw_all(error.diagnostics, colour=colour_of(sys.stderr), width=width_of(sys.stderr)), file=sys.stderr)
    return error.exit_code


def _innermost(error: BaseException) -> str:
    """`file.py:12` where an error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "?"
