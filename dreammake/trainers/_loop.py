"""The run of a trainer: its progress, its checkpoints, and its measures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.trainer import Training

if TYPE_CHECKING:
    from transformers import Trainer, TrainerCallback

_COMPLETE = "complete"
"""An empty file in a checkpoint that was written to its end."""


def run(trainer: Trainer, training: Training) -> dict[str, float]:
    """Train, from the last complete checkpoint if there is one. Returns the measures of the whole run."""
    trainer.add_callback(_callback(training))
    begun = _last_checkpoint(training.checkpoints)
    if begun is not None:
        training.say(f"going on from {begun.name}")
    output = trainer.train(resume_from_checkpoint=str(begun) if begun else None)
    log = trainer.state.log_history
    measures = {"steps": trainer.state.global_step, "epochs": trainer.state.epoch}
    measures["loss"] = _mean_loss(log) if any("loss" in entry for entry in log) else output.training_loss
    measured = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    return measures | ({"eval_loss": measured[-1]} if measured else {})


def _mean_loss(log: list[dict[str, float]]) -> float:
    """Over all logged steps. TRL's own counts only those since the last interruption."""
    total, before = 0.0, 0.0
    for entry in log:
        if "loss" in entry:
            total += entry["loss"] * (entry["step"] - before)
            before = entry["step"]
    return total / before


def _callback(training: Training) -> TrainerCallback:
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        """Tells how far the training is, and marks checkpoints as complete."""

        measures: dict[str, float] = {}

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            self.measures = {key: value for key, value in (logs or {}).items() if key in ("loss", "eval_loss")}

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            training.progress(state.global_step, state.max_steps, epoch=state.epoch, **self.measures)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE).touch()

    return Report()


def _last_checkpoint(folder: Path) -> Path | None:
    complete = [file.parent for file in folder.glob(f"checkpoint-*/{_COMPLETE}")]
    return max(complete, key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]), default=None)
