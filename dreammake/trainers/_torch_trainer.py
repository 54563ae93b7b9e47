"""What all methods that train with torch share: their packages are there, their noise goes to the job's log, they run
on several GPUs, and memory that is full is told in words."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, ClassVar

from dreammake.core.diagnostic import fail
from dreammake.core.options import OptionSet, Wrong
from dreammake.core.step import Columns
from dreammake.core.trainer import Trainer, Training
from dreammake.trainers import _beforehand, _trouble
from dreammake.trainers._examples import without_examples
from dreammake.trainers._noise import noise_to
from dreammake.trainers._processes import launch

_OF_EMBED = frozenset({"sentence_transformers", "sklearn"})
"""Packages of the extra `embed`."""


class TorchTrainer(Trainer):
    """A method is one of these, and has `train`."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "trl", "peft", "datasets")
    spreads: ClassVar[bool] = True
    """Whether `train` may run in several processes at once, one a GPU: `_loop.run` does what they do together."""
    shards: ClassVar[bool] = True
    """Whether a model can be cut into parts, one a GPU: `strategy: "fsdp"`."""

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        """A model that can be cut into parts, where it is to be. Raises Wrong."""
        if options.values.get("strategy") == "fsdp" and not cls.shards:
            said = f"`strategy`: `train {cls.__name__.lower()}` cannot cut its model into parts, as fsdp does"
            raise Wrong(said, 'leave it out, or say `strategy: "ddp"`', "refused-options")

    def run(self, options: Any, training: Training) -> None:
        """Train and write `training.folder`: here, or in a process for each GPU of the job."""
        need(*self.packages)
        count = launch.rank_count(training)
        all_ = count * training.nodes
        if all_ > 1 and not self.spreads:
            name = type(self).__name__.lower()
            fail(
                "one-gpu-only",
                f"`train {name}` runs on one GPU, and this job has {all_}",
                hint="say `resources: gpus: 1`",
                exit_code=1,
            )
        strategy = self._strategy(options)
        _beforehand.check(options, training, sharded_over=all_ if all_ > 1 and strategy == "fsdp" else 1)
        without_examples(training.checkpoints)  # those of a training that was killed
        try:
            if count:
                launch.launch(type(self), options, training, count, strategy)
            else:
                self.train_here(options, training)
        finally:
            without_examples(training.checkpoints)

    def train_here(self, options: Any, training: Training) -> None:
        """Train in this process."""
        with noise_to(training.say), _trouble.in_words(options, training):
            self.train(options, training)

    def train(self, options: Any, training: Training) -> None:
        raise NotImplementedError

    def _strategy(self, options: Any) -> str:
        """An adapter is small, and its base fits where it is trained; all weights with their optimizer often do not."""
        given: str | None = options.values.get("strategy")
        return given or ("fsdp" if self.shards and options.values.get("peft") is None else "ddp")


def need(*packages: str) -> None:
    """Raises DreamError where a package that training needs is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        fail(
            "missing-package",
            f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint=f"pip install 'dreammake-llm[{'train,embed' if _OF_EMBED.intersection(missing) else 'train'}]'",
            exit_code=1,
        )
