"""How many completions an online method writes at most, known from its options before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from dreammake.core.options import OptionSet
from dreammake.core.trainer import Size

Values = Mapping[str, Any]


def most_completions(options: OptionSet, size: Size) -> int | None:
    """Those to learn from, and those of the measurements on the `eval` input; None: nobody knows."""
    learned, measured = _learned(options.values, size), _measured(options.values, size)
    return None if learned is None or measured is None else learned + measured


def _learned(values: Values, size: Size) -> int | None:
    times = values.get("num_generations") or 1
    if values["max_steps"] <= 0:
        return None if size.rows is None else ceil(values["num_train_epochs"]) * size.rows * times
    batch = values["per_device_train_batch_size"] * size.processes
    batches = _batches(values, batch)
    again = values.get("num_iterations") or values.get("num_ppo_epochs") or 1
    rollouts = ceil(values["max_steps"] * values["gradient_accumulation_steps"] / (batches * again))
    return int(rollouts * batches * batch)


def _batches(values: Values, batch: int) -> int:
    """How many batches the completions of one rollout are."""
    accumulated = int(values["gradient_accumulation_steps"])
    if "num_mini_batches" in values:
        return int(values["num_mini_batches"]) * accumulated
    if values["steps_per_generation"] is None and values["generation_batch_size"] is not None:
        return max(1, int(values["generation_batch_size"]) // batch)
    return int(values["steps_per_generation"] or accumulated)


def _measured(values: Values, size: Size) -> int | None:
    times = values.get("num_generations_eval") or values.get("num_generations") or 1
    rounds = 0 if size.eval_rows == 0 else _measurements(values)
    return None if rounds is None or size.eval_rows is None else rounds * size.eval_rows * int(times)


def _measurements(values: Values) -> int | None:
    """How often the model is measured at most."""
    strategy, steps, every = values["eval_strategy"] or "epoch", values["max_steps"], values["eval_steps"]
    first: int = values.get("eval_on_start") or 0
    epochs: int = ceil(values["num_train_epochs"])
    if strategy == "no":
        return first
    if strategy == "epoch" and steps <= 0:
        return epochs + first
    if strategy == "steps" and steps > 0 and every is not None and every >= 1:
        return int(steps // every) + first
    return None
