"""What the plan asks of the world. `store` answers on a real disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dreammake.core.job import Job
from dreammake.core.step import Columns
from dreammake.core.values import NOTHING


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """What an output was when its job ended."""

    path: str
    fingerprint: str
    signature: str
    """The stat signature of its files then: as long as it is the same, the content is taken to be."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the build log knows of a target's last build.

    `shared` is the digest of the ingredients that all jobs of its rule had in common; `own` and `inputs` are
    canonical JSON: the job's own ingredients, and the fingerprint of each input by its role.
    """

    id: str
    rule: str
    shared: str
    own: str
    inputs: str
    outputs: tuple[OutputRecord, ...]
    built_at: float = 0.0
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default=NOTHING)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history: a job that ran."""

    run: str
    target: str
    rule: str
    started: float
    seconds: float
    outcome: str
    """`built`, `failed` or `interrupted`."""
    facts: Mapping[str, Any]
    log: str


class BuildLog(Protocol):
    """The records of targets, and the ingredients that they name by digest."""

    def records(self) -> Mapping[str, Record]: ...

    def ingredients(self, digest: str) -> Sequence[Sequence[Any]] | None:
        """The `[where, kind, value]` triples behind a digest."""


class Disk(Protocol):
    """The project folder, seen through stat signatures and content fingerprints."""

    def signature(self, path: str) -> str | None:
        """The stat signature of a file or folder, or None where nothing is."""

    def fingerprint(self, path: str) -> str:
        """The fingerprint of its content. Raises DreamError where it cannot be read."""

    def columns(self, path: str) -> Columns | None:
        """The columns of a dataset on disk; None where it is none. Raises DreamError: damaged, or several in one."""

    def kind(self, path: str) -> str | None:
        """`dataset`, `model` or `file`; None where nothing is."""

    def matching(self, pattern: str) -> list[str]:
        """The files that a path or a glob names, sorted. Raises Wrong where there are none."""

    def locate(self, path: str) -> Path:
        """Where a path of the project lies. Raises DreamError if it leaves the project."""

    def siblings(self, path: str) -> list[str]:
        """Paths beside a path that does not exist: what it may have been meant to be."""

    def function(self, reference: str) -> Mapping[str, str]:
        """The fingerprints of a Python function and of what it calls in the project. Raises Wrong."""

    def parameters(self, reference: str) -> Sequence[str] | None:
        """The names of a Python function's parameters; None where it is not a plain function. Raises Wrong."""

    def accepts(self, reference: str, name: str) -> bool:
        """May a Python function be given an argument of that name? True where that cannot be told. Raises Wrong."""

    def required(self, reference: str) -> Sequence[str] | None:
        """Those that a call has to give; None where that cannot be told. Raises Wrong."""


@dataclass(frozen=True, slots=True)
class Done:
    """A job ended well: what its outputs are, and its facts (rows, prompts, tokens, cost)."""

    outputs: tuple[OutputRecord, ...]
    seconds: float
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """A job ended badly: diagnostics as JSON (`run.messages`), and whether it was lost with its worker."""

    diagnostics: tuple[Mapping[str, Any], ...]
    lost: bool = False
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Progressed:
    """A job says how far it is."""

    fields: Mapping[str, Any]


Message = tuple[str, Done | Failed | Progressed]
"""The id of a job, and what it says."""


class Executor(Protocol):
    """Runs jobs somewhere: the next thing after the plan. Local processes, a cluster, or nothing at all.

    A job whose claim has `nodes: N` is one training on N machines. It runs on the first of them, with `meeting` in its
    claim: an empty folder that all of them see, as they do the project. On each other one the executor runs
    `python -m dreammake.trainers._processes.node MEETING NUMBER`, numbered from 1, and ends it with the job.
    """

    nodes: int
    """How many machines a job may have."""

    def start(self, job: Job, claim: Mapping[str, Any], behind: str | None = None) -> None:
        """Begin a job. `claim` is what the pools gave it: `cpus`, `gpus` (a list of ids), `log` (a path). With
        `behind`, it begins when that job ends, in its place."""

    def wait(self, timeout: float | None) -> list[Message]:
        """What has happened since: at least one message, or none after `timeout` seconds."""

    def stop(self, now: bool) -> None:
        """Let running jobs end cleanly, their answers kept; or end them at once."""

    def close(self) -> None: ...
