"""What all methods that train with torch share: their packages are there, and their noise goes to the job's log."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, ClassVar

from dreammake.core.diagnostic import fail
from dreammake.core.trainer import Trainer, Training
from dreammake.trainers._noise import noise_to


class TorchTrainer(Trainer):
    """A method is one of these, and has `train`."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "trl", "peft", "datasets")

    def run(self, options: Any, training: Training) -> None:
        """Train and write `training.folder`."""
        need(*self.packages)
        with noise_to(training.say):
            self.train(options, training)

    def train(self, options: Any, training: Training) -> None:
        raise NotImplementedError


def need(*packages: str) -> None:
    """Raises DreamError where a package that training needs is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        fail(
            "missing-package",
            f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint="pip install 'dreammake-llm[train]'",
            exit_code=1,
        )
