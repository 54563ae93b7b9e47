"""The contract of a trainer: one training method, one file in `trainers/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, RowError
from dreammake.core.values import ModelSpec


class Training(Protocol):
    """What a running trainer may use."""

    train: Rows
    eval: Rows | None
    folder: Path
    """Where the model folder is written; complete when the trainer returns."""
    checkpoints: Path
    """A folder that outlives a killed job of the same recipe."""
    base: str | Path
    """The base model: a hub name, or the folder on disk when it is a target, a local model or the embedded one."""

    gpus: int
    """How many GPUs the job has on each machine: `resources: gpus: N`."""
    nodes: int
    """On how many machines it runs: `resources: nodes: N`."""
    meeting: Path | None
    """A folder that all of its machines see, where it has several."""

    def path(self, path: str) -> Path:
        """Where a path of the project lies on disk: a model that an option names, a file with a reward function."""

    def scores(
        self, judge: ModelSpec, questions: Sequence[str], scale: Sequence[float] | None
    ) -> Sequence[float | None]:
        """The score that a model gives for each question, in order; None for an answer that is none. They are asked by
        `Work.ask`: from the prompt cache where they are there, within the budget. `scale` is the lowest and the highest
        score, None: any number. Raises DreamError (exit code 1) where a request fails."""

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        """Steps done, and figures of now such as `loss`."""

    def say(self, line: str) -> None:
        """One line for the job's log."""

    def tell(self, line: str) -> None:
        """One line for the job's log and for whoever watches the build: that an earlier run is gone on with."""

    def error(self, error: RowError) -> None:
        """Put a row that cannot be learned from into the target's error table."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is known of a training before anything is built: the rows of its inputs (None: not yet; no `eval` has 0),
    and the processes that it runs in."""

    rows: int | None
    eval_rows: int | None = 0
    processes: int = 1


class Trainer:
    """Base of all training methods: `train METHOD:`."""

    version: ClassVar[int] = 1
    hosted: ClassVar[bool] = False
    """An endpoint trains the model, and answers for it: the folder only names it (`core.hosted_model`)."""
    Options: ClassVar[type[OptionSet]] = OptionSet
    paper: ClassVar[str] = ""
    example: ClassVar[str] = ""

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        """Check what only the method can see before anything runs. Raises `Wrong`."""

    @classmethod
    def judged(cls, options: Any, size: Size) -> int | None:
        """How many completions its `judge` is asked about at most; None: nobody knows."""
        return None

    def run(self, options: Any, training: Training) -> None:
        """Train, and leave a folder that `from_pretrained` opens."""
        raise NotImplementedError
