"""What is watched while transformers' Trainer runs: how far it is, whether its loss is a number, when it is saved."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.trainer import Training
from dreammake.trainers import _checkpoint, _trouble
from dreammake.trainers._processes import ranks

if TYPE_CHECKING:
    import torch
    from transformers import Trainer, TrainerCallback


def callback(kind: type, *arguments: Any) -> TrainerCallback:
    """A watcher as transformers takes it: with its base class, which is imported only now, behind it."""
    from transformers import TrainerCallback

    return type(kind.__name__, (kind, TrainerCallback), {})(*arguments)


_SHOWN = ("loss", "eval_loss", "reward", "eval_reward")
"""Measures of the log that are shown while the training runs."""


class Report:
    """Tells how far the training is: steps, and with them the measures of the last line of the log."""

    def __init__(self, trainer: Trainer, training: Training) -> None:
        self._trainer = trainer
        self._training = training
        self._measures: dict[str, float] = {}
        self._tokens: tuple[float, float] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if ranks.count() > 1:
            self._training.say(ranks.check_sharded(self._trainer.model_wrapped))

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        self._measures |= {name: value for name, value in (logs or {}).items() if name in _SHOWN}
        if logs and "loss" in logs and "num_tokens" in logs:
            now = (time.monotonic(), float(logs["num_tokens"]))
            if self._tokens is not None and now[0] > self._tokens[0]:
                self._measures["tokens_per_second"] = (now[1] - self._tokens[1]) / (now[0] - self._tokens[0])
            self._tokens = now

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._training.progress(state.global_step, state.max_steps, epoch=state.epoch, **self._measures)


class Guard:
    """Stops a training whose loss or weights are no numbers, before they get into a checkpoint.

    The first bad step is noted on the device, and read only where a step ends with a line of the log or a checkpoint:
    reading it each time would make the GPU wait.
    """

    def __init__(self, trainer: Trainer, checkpoints: Path) -> None:
        self._trainer = trainer
        self._checkpoints = checkpoints
        self._first: torch.Tensor | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        import torch

        loss = self._trainer._tr_loss
        if self._first is None:
            self._first = torch.zeros((), dtype=torch.long, device=loss.device)
        bad = ~torch.isfinite(loss) & (self._first == 0)
        self._first = torch.where(bad, state.global_step, self._first)
        last = state.global_step >= state.max_steps
        if last or control.should_log or control.should_save or loss.device.type == "cpu":
            self._check(state, weights=control.should_save or last)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if control.should_save:
            self._check(state, weights=True)

    def _check(self, state: Any, *, weights: bool) -> None:
        step = 0 if self._first is None else int(self._first.item())
        if step:
            _trouble.not_a_number("the loss is not a number", step, self._checkpoints)
        if weights and not all(_is_finite(one) for one in self._trainer.model.parameters() if one.requires_grad):
            _trouble.not_a_number("the weights are no numbers any more", state.global_step, self._checkpoints)


def _is_finite(parameter: Any) -> bool:
    local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return bool(local.isfinite().all())


class Saver:
    """Saves by the clock, too; marks what is written to its end, and only then removes what is older.

    Nothing goes on from a checkpoint where the training stops, as transformers would make one more step from there: it
    is not marked, and not even written, unless the best checkpoint is looked for.
    """

    def __init__(
        self, trainer: Trainer, training: Training, begun: Path | None, minutes: float | None, limit: int | None
    ) -> None:
        self._trainer = trainer
        self._training = training
        self._begun = begun
        self._every = (minutes or 0.0) * 60
        self._limit = limit
        self._saved = time.monotonic()
        self._save, trainer._save_checkpoint = trainer._save_checkpoint, self._save_or_say

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._begun is not None:
            _checkpoint.restore_sums(self._trainer, self._begun)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._every and not control.should_save and self._may_ask(control):
            control.should_save = ranks.of_first(lambda: time.monotonic() - self._saved >= self._every)
        self._spare_the_last(args, state, control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._spare_the_last(args, state, control)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()
        checkpoint = self._training.checkpoints / _checkpoint.name_of(state.global_step)
        _checkpoint.save_sums(self._trainer, checkpoint)
        ranks.wait_for_all()
        if control.should_training_stop or not ranks.is_first():
            return
        _checkpoint.mark(checkpoint, ranks.made_by())
        if self._limit is not None:
            _checkpoint.remove_older(self._training.checkpoints, self._limit, state.best_model_checkpoint)

    def _may_ask(self, control: Any) -> bool:
        """Several ranks look at the clock of the first one only where they wait for each other anyway."""
        return bool(ranks.count() == 1 or control.should_log)

    def _spare_the_last(self, args: Any, state: Any, control: Any) -> None:
        if state.global_step >= state.max_steps and not args.load_best_model_at_end:
            control.should_save = False

    def _save_or_say(self, model: Any, trial: Any) -> None:
        """Write a checkpoint; where the disk is full, say so: what is half-written is removed, what was whole stays."""
        try:
            self._save(model, trial)
        except Exception as error:
            if not _trouble.is_full_disk(error):
                raise
            name = _checkpoint.name_of(self._trainer.state.global_step)
            shutil.rmtree(self._training.checkpoints / name, ignore_errors=True)
            _trouble.full_disk(f"the checkpoint of step {self._trainer.state.global_step}", self._training.checkpoints)
