"""Trainings by the name of their method, on the small model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dreammake.core.catalog import Catalog
from dreammake.core.options import OptionSet
from dreammake.core.span import Source
from dreammake.core.values import RowExpression, Template
from dreammake.lang.parser import parse_expression
from dreammake.lang.tree_json import to_json
from tests.support.training import Training, training_in

PREFERENCES = [
    {"question": f"What is {n} and {n}?", "good": f"It is {2 * n}.", "bad": f"I never learned that, {n}."}
    for n in range(4)
]
PREFERENCE_TEXTS = {
    "prompt": Template("{{ question }}"),
    "chosen": Template("{{ good }}"),
    "rejected": Template("{{ bad }}"),
}


def expression(text: str) -> RowExpression:
    """An expression over the columns, as a Dreamfile's would be."""
    return RowExpression(to_json(parse_expression(text, Source("Dreamfile", text))), text)


def options_of(method: str, **given: Any) -> OptionSet:
    """Checked options: short, fast steps, unless something else is given."""
    kind = Catalog().find("trainers", method).Options
    values = {"base": "models/small", "max_steps": 2, "logging_steps": 1, "per_device_train_batch_size": 2} | given
    declared = kind.declared()
    return kind({name: declared[name].check(value) for name, value in values.items()})  # type: ignore[no-any-return]


def trained(
    method: str, folder: Path, rows: list[dict[str, Any]] = PREFERENCES, *, base: Path | None = None, **given: Any
) -> Training:
    """A training that has run; its result is `folder/model`."""
    training = training_in(folder, rows)
    training.base = base or training.base
    Catalog().find("trainers", method)().run(options_of(method, **given), training)
    return training


def losses_of(training: Training) -> list[float]:
    """The loss of each step."""
    lines = (training.folder / "training_log.jsonl").read_text().splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def facts_of(training: Training) -> dict[str, Any]:
    return json.loads((training.folder / "training.json").read_text())  # type: ignore[no-any-return]
