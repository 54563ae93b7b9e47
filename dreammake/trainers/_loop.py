"""The run of a trainer: where it begins, its checkpoints, when it stops, and its measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.options import OptionSet
from dreammake.core.trainer import Training
from dreammake.trainers import _checkpoint, _watch
from dreammake.trainers._processes import ranks
from dreammake.trainers._tokenizer import check_tokens

if TYPE_CHECKING:
    from transformers import Trainer

_OF_THE_CLOCK = ("_runtime", "_per_second", "_num_tokens", "_model_preparation_time", "_step_time")


def run(trainer: Trainer, training: Training, options: OptionSet | None = None) -> dict[str, float]:
    """Train, from the last complete checkpoint if there is one. Returns the measures of the whole run.

    `trainer.model` is then the whole model, sharded or not. With several processes only the first one returns: it
    alone writes the model folder.
    """
    values = {} if options is None else options.values
    args = trainer.args
    limit, args.save_total_limit = args.save_total_limit, None  # `Saver` removes checkpoints, once a newer one is whole
    args.logging_nan_inf_filter = False
    args.restore_callback_states_from_checkpoint = True
    _stop_early(trainer, values)
    check_tokens(trainer, str(values.get("base")))
    begun = ranks.of_first(lambda: _begin(training))
    trainer.add_callback(
        _watch.callback(_watch.Saver, trainer, training, begun, values.get("checkpoint_minutes"), limit)
    )
    trainer.add_callback(_watch.callback(_watch.Guard, trainer, training.checkpoints))
    trainer.add_callback(_watch.callback(_watch.Report, trainer, training))
    trainer.train(resume_from_checkpoint=str(begun) if begun else None)
    measures = _measures(trainer)
    ranks.gather(trainer.model)
    return measures


def saving(fields: Mapping[str, Any], eval_strategy: str) -> Mapping[str, Any]:
    """The fields of a config that say when a checkpoint is due, where the best one is the result: at each measurement.
    Else `save_steps` would change the model."""
    if not fields.get("load_best_model_at_end") or fields["save_strategy"] == "best":
        return {}
    return {"save_strategy": eval_strategy, "save_steps": fields["eval_steps"] or fields["logging_steps"]}


def _begin(training: Training) -> Path | None:
    """The checkpoint to go on from, said to whoever watches; None: from the start."""
    found = _checkpoint.last(training.checkpoints, ranks.made_by())
    for line in found.passed_over:
        training.tell(line)
    if found.checkpoint is not None:
        training.tell(f"going on from step {found.step}")
    elif found.passed_over:
        training.tell("there is no other checkpoint, so the training begins anew")
    elif _checkpoint.are_elsewhere(training.checkpoints):
        training.tell("the checkpoints are of a training on other data or options, so this one begins anew")
    _checkpoint.remove_after(training.checkpoints, found.step)
    return found.checkpoint


def _stop_early(trainer: Trainer, values: Mapping[str, Any]) -> None:
    from transformers import EarlyStoppingCallback

    patience, args = values.get("early_stopping_patience"), trainer.args
    if patience is None:
        return
    if trainer.eval_dataset is None or args.eval_strategy == "no":
        fail(
            "missing-input",
            "`early_stopping_patience` is given, and there is nothing to measure the model on",
            hint="name a dataset for it: `input:` with `eval: ...` in its block",
            exit_code=1,
        )
    if args.metric_for_best_model is None:
        args.metric_for_best_model, args.greater_is_better = "loss", False
    trainer.add_callback(EarlyStoppingCallback(patience, values.get("early_stopping_threshold") or 0.0))


def _measures(trainer: Trainer) -> dict[str, float]:
    """Processes, where there were several; steps, epochs and loss; of the `eval` input what was measured last, and
    which measurement was the best."""
    state = trainer.state
    log: Sequence[Mapping[str, Any]] = state.log_history
    found: dict[str, float] = {"processes": ranks.count()} if ranks.count() > 1 else {}
    found |= {"steps": state.global_step, "epochs": state.epoch}
    # What transformers gives as `train_loss` counts the steps since the last interruption.
    found["loss"] = trainer._total_loss_scalar / state.global_step
    rewards = [entry["reward"] for entry in log if "reward" in entry]
    found |= {"reward": rewards[-1]} if rewards else {}
    evals = [entry for entry in log if "eval_loss" in entry]
    for name, value in (evals[-1] if evals else {}).items():
        if name.startswith("eval_") and not name.endswith(_OF_THE_CLOCK):
            found[name] = value
    if state.best_metric is not None:
        found |= {"best_metric": state.best_metric, "best_step": state.best_global_step}
    return found
