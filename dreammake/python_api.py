"""dreammake from Python: `from dreammake import Dreamfile, build, plan`.

    from dreammake import Dreamfile

    dreamfile = Dreamfile("Dreamfile", config={"n": 10})
    dreamfile.plan("data/tweets").summary["prompts_to_run"]
    dreamfile.build("data/tweets", budget=5.0)
    dreamfile.dataset("data/tweets")[0]

Every call runs the command line in a process of its own and reads its JSON: a notebook's threads, its loaded models
and its signal handlers so never meet those of a build, and both ways to build are one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.values import NOTHING

if TYPE_CHECKING:
    from datasets import Dataset

Show = Callable[[Mapping[str, Any]], None]
"""Is given every event of a build, as `dreammake --json` prints it."""


class DreammakeError(DreamError):
    """What the command line would have said, with exit code 1 (a job failed) or 2 (something is wrong as written)."""

    def __str__(self) -> str:
        told = [one.message + (f"\n  help: {one.hint}" if one.hint else "") for one in self.diagnostics]
        return "\n".join(told)


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """One target of a plan. `prompts` has `total`, `cached`, `to_run`, `exact`, `tokens`, `cost` and `seconds`; it is
    None where no model is asked."""

    target: str
    rule: str
    action: Literal["build", "follow", "fresh"]
    outputs: tuple[str, ...] = ()
    reasons: tuple[Mapping[str, Any], ...] = ()
    prompts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build would do. `summary` counts targets, prompts, tokens and dollars."""

    targets: tuple[PlannedTarget, ...]
    summary: Mapping[str, Any]

    @property
    def todo(self) -> tuple[PlannedTarget, ...]:
        """What is to be built, or follows from it."""
        return tuple(target for target in self.targets if target.action != "fresh")


@dataclass(frozen=True, slots=True)
class Build:
    """How a build ended well: the targets that it built, how many were fresh, seconds, and dollars."""

    built: tuple[str, ...]
    fresh: int
    seconds: float
    cost: float


@dataclass(frozen=True, slots=True)
class Dreamfile:
    """A Dreamfile and the project around it. `config` overrides its values, nested ones as dicts."""

    path: str | os.PathLike[str] = "Dreamfile"
    config: Mapping[str, Any] = field(default=NOTHING)
    state_dir: str | os.PathLike[str] | None = None

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return Path(self.path).absolute().parent

    def plan(self, *targets: str, exclude: Sequence[str] = (), force: bool = False, offline: bool = False) -> Plan:
        """What `build` would do with the same arguments; it writes and asks nothing. Raises DreammakeError."""
        words = [*targets, "--dry-run", *_build_words(exclude, force, offline)]
        document = self.command(*words)
        planned = [
            PlannedTarget(
                one["target"],
                one["rule"],
                one["action"],
                tuple(one["outputs"]),
                tuple(one["reasons"]),
                one.get("prompts"),
            )
            for one in document["targets"]
        ]
        return Plan(tuple(planned), document["summary"])

    def build(
        self,
        *targets: str,
        jobs: int | None = None,
        keep_going: bool = False,
        exclude: Sequence[str] = (),
        force: bool = False,
        budget: float | None = None,
        offline: bool = False,
        pools: Mapping[str, int] = NOTHING,
        executor: str | None = None,
        show: Show | None = None,
    ) -> Build:
        """Build what is missing or stale behind the targets (none: `all`). Raises DreammakeError where a job fails; a
        KeyboardInterrupt ends the build as Ctrl-C does, and nothing that was answered is lost."""
        words = [*targets, *_build_words(exclude, force, offline)]
        words += ["--keep-going"] * keep_going
        words += [] if jobs is None else ["--jobs", str(jobs)]
        words += [] if executor is None else ["--executor", executor]
        words += [] if budget is None else ["--budget", str(budget)]
        words += [word for name, size in pools.items() for word in ("--pool", f"{name}={size}")]
        built: list[str] = []
        failures: list[Diagnostic] = []
        end: Mapping[str, Any] = {}
        with self._started([*words, "--json"]) as process:
            for line in _lines(process):
                event = json.loads(line)
                _raise_errors(event, 2)
                if show is not None:
                    show(event)
                match event:
                    case {"event": "job-finished", "target": target}:
                        built.append(target)
                    case {"event": "job-failed", "will_retry": False, "diagnostics": found}:
                        failures += map(_diagnostic, found)
                    case {"event": "build-finished"}:
                        end = event
        if failures or process.returncode:
            found = failures or [Diagnostic("worker-lost", f"the build ended with status {process.returncode}")]
            raise DreammakeError(*found, exit_code=process.returncode or 1)
        return Build(tuple(built), end["fresh"], end["seconds"], end["cost"])

    def command(self, *words: str) -> Any:
        """Any command of the command line with `--json`, and its document: `command("why", "data/tweets")`.

        Raises DreammakeError."""
        with self._started([*words, "--json"]) as process:
            lines = list(_lines(process))
        document = json.loads(lines[-1]) if lines else None
        _raise_errors(document, process.returncode)
        return document

    def dataset(self, target: str) -> Dataset:
        """A built dataset, memory-mapped. Raises DreammakeError where it is not built."""
        from datasets import load_from_disk

        self.command("show", target, "--rows", "0")
        return load_from_disk(str(self.folder / target))

    @contextmanager
    def _started(self, words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        path = Path(self.path)
        command = [sys.executable, "-m", "dreammake", *words, "-C", str(self.folder), "-f", path.name]
        command += [] if self.state_dir is None else ["--state-dir", str(Path(self.state_dir).absolute())]
        with tempfile.TemporaryDirectory() as folder:
            if self.config:
                file = Path(folder) / "config.json"
                file.write_text(json.dumps(dict(self.config)), encoding="utf-8")
                command += ["--configfile", str(file)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
                yield process


def plan(*targets: str, dreamfile: Dreamfile | str | os.PathLike[str] = "Dreamfile", **options: Any) -> Plan:
    """`Dreamfile(...).plan(...)`."""
    return _dreamfile(dreamfile).plan(*targets, **options)


def build(*targets: str, dreamfile: Dreamfile | str | os.PathLike[str] = "Dreamfile", **options: Any) -> Build:
    """`Dreamfile(...).build(...)`, which prints a line an event unless it is given a `show`."""
    return _dreamfile(dreamfile).build(*targets, **{"show": printed, **options})


def printed(event: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """One plain line for an event that a person wants to see."""
    words = str(event["event"]).removeprefix("job-")
    if event["event"] in ("job-started", "job-finished", "job-failed"):
        print(f"{words:<9} {event['target']}", file=stream or sys.stdout, flush=True)
    elif event["event"] == "build-finished":
        told = f"{event['built']} built, {event['failed']} failed, {event['fresh']} up to date"
        print(told, file=stream or sys.stdout, flush=True)


def _dreamfile(given: Dreamfile | str | os.PathLike[str]) -> Dreamfile:
    return given if isinstance(given, Dreamfile) else Dreamfile(given)


def _build_words(exclude: Sequence[str], force: bool, offline: bool) -> list[str]:
    words = [word for target in exclude for word in ("--exclude", target)]
    return words + ["--force"] * force + ["--offline"] * offline


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a command prints, line by line. An interrupt of this process is handed on, and waits for its end."""
    assert process.stdout is not None
    try:
        yield from process.stdout
        process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.communicate()
        raise


def _raise_errors(document: Any, exit_code: int) -> None:
    if isinstance(document, dict) and "errors" in document and "event" not in document and "target" not in document:
        raise DreammakeError(*map(_diagnostic, document["errors"]), exit_code=exit_code)


def _diagnostic(found: Mapping[str, Any]) -> Diagnostic:
    """A diagnostic with its place in words: the text that it stands in is in another process."""
    place = found.get("place")
    where = f"{place['path']}:{place['line']}: " if place else ""
    return Diagnostic(found["code"], where + found["message"], hint=found.get("hint", ""))
