"""What happens during a build, as data: the display, the JSON output and the log are made of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dreammake.core.diagnostic import Diagnostic
from dreammake.core.values import NOTHING


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class BuildStarted(Event):
    build: int
    """How many jobs run for sure."""
    follow: int
    """How many run only if what they read changes."""
    fresh: int


@dataclass(frozen=True, slots=True)
class JobStarted(Event):
    target: str
    rule: str
    reasons: tuple[str, ...] = ()
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class JobProgress(Event):
    target: str
    done: int
    total: int | None = None
    unit: str = "rows"
    prompts_cached: int = 0
    prompts_asked: int = 0
    measures: Mapping[str, float] = field(default=NOTHING)
    note: str = ""
    """Something to be told at once, and then nothing else: that a training goes on from a checkpoint."""


@dataclass(frozen=True, slots=True)
class JobFinished(Event):
    target: str
    seconds: float
    changed: bool
    """False: it was built to the content it had, so nothing after it need run."""
    facts: Mapping[str, Any] = field(default=NOTHING)
    """rows, prompts_cached, prompts_asked, tokens, cost, ..."""


@dataclass(frozen=True, slots=True)
class JobFailed(Event):
    target: str
    diagnostics: tuple[Diagnostic, ...]
    log: str
    """Path of the job's log."""
    will_retry: bool = False


@dataclass(frozen=True, slots=True)
class JobFresh(Event):
    """A job that was to follow, but whose inputs were rebuilt to the same content."""

    target: str


@dataclass(frozen=True, slots=True)
class GraphGrew(Event):
    """A dataset that inputs depend on was built, and more jobs are known now."""

    after: str
    jobs: int


@dataclass(frozen=True, slots=True)
class BuildFinished(Event):
    built: int
    failed: int
    skipped: int
    """Not run, because what they need failed or the build was interrupted."""
    fresh: int
    seconds: float
    interrupted: bool = False
    cost: float = 0.0
    """Dollars that the answers of this build cost, as far as prices are known."""
    left: Mapping[str, Any] = field(default=NOTHING)
    """What a build that reached its budget did not ask: `prompts`, `exact`, `tokens`, `cost`."""
