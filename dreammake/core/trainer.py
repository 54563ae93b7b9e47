"""The contract of a trainer: one training method, one file in `trainers/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol

from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, RowError


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
    """How many GPUs the job has: `resources: gpus: N`."""

    def path(self, path: str) -> Path:
        """Where a path of the project lies on disk: a model that an option names, a file with a reward function."""

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        """Steps done, and figures of now such as `loss`."""

    def say(self, line: str) -> None:
        """One line for the job's log."""

    def tell(self, line: str) -> None:
        """One line for the job's log and for whoever watches the build: that an earlier run is gone on with."""

    def error(self, error: RowError) -> None:
        """Put a row that cannot be learned from into the target's error table."""


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

    def run(self, options: Any, training: Training) -> None:
        """Train, and leave a folder that `from_pretrained` opens."""
        raise NotImplementedError
