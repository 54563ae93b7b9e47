"""A real training on the small model, as the worker would call it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dreammake.core.judgement import scores
from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.step import RowError
from dreammake.core.values import Function, ModelSpec, Template
from dreammake.trainers.sft import Sft
from tests.support.small_model import small_model

PAIRS = [{"question": f"What is {n} and {n}?", "answer": f"It is {2 * n}."} for n in range(16)]
PAIR_TEXTS = {"prompt": Template("{{ question }}"), "completion": Template("{{ answer }}")}
LORA = Function("lora", (), {"r": 4})


@dataclass
class Training:
    """`core.trainer.Training` over temporary folders; it remembers what it is told."""

    train: Rows
    eval: Rows | None
    folder: Path
    checkpoints: Path
    base: str | Path
    gpus: int = 0
    nodes: int = 1
    meeting: Path | None = None
    errors: list[RowError] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """The lines for whoever watches."""
    steps: list[tuple[int, int | None, dict[str, float]]] = field(default_factory=list)
    stop_at: int | None = None
    """The step after which the training is interrupted."""

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        self.steps.append((done, total, measures))
        if done == self.stop_at:
            raise KeyboardInterrupt

    def path(self, path: str) -> Path:
        return self.folder.parent / path

    def scores(
        self, judge: ModelSpec, questions: Sequence[str], scale: Sequence[float] | None
    ) -> Sequence[float | None]:
        from tests.support.asking import AskingWork

        work = AskingWork(self.folder.parent)
        with closing(work.asker):
            found = scores(work, judge, questions, scale)
        self.lines += work.log
        return found

    def say(self, line: str) -> None:
        self.lines.append(line)

    def tell(self, line: str) -> None:
        self.told.append(line)
        self.lines.append(line)

    def error(self, error: RowError) -> None:
        self.errors.append(error)


def rows_of(rows: list[dict[str, Any]]) -> Rows:
    return from_dicts(tuple(rows[0]) if rows else ("question", "answer"), rows, len(rows))


def training_in(
    folder: Path, rows: list[dict[str, Any]] = PAIRS, *, eval_rows: list[dict[str, Any]] | None = None
) -> Training:
    """A training whose result is `folder/model`."""
    made = Training(
        train=rows_of(rows),
        eval=None if eval_rows is None else rows_of(eval_rows),
        folder=folder / "model",
        checkpoints=folder / "checkpoints",
        base=small_model(),
    )
    made.folder.mkdir(parents=True, exist_ok=True)
    made.checkpoints.mkdir(exist_ok=True)
    return made


def sft_options(**given: Any) -> OptionSet:
    """Checked options: short, fast steps, unless something else is given."""
    values = {"base": "models/small", "max_steps": 4, "logging_steps": 1, "per_device_train_batch_size": 4} | given
    declared = Sft.Options.declared()
    return Sft.Options({name: declared[name].check(value) for name, value in values.items()})


def digests(folder: Path) -> Mapping[str, str]:
    """The files of a folder with the fingerprint of their bytes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


if __name__ == "__main__":
    training = training_in(Path(sys.argv[1]))
    Sft().run(sft_options(**PAIR_TEXTS, peft=LORA), training)
    print(json.dumps(digests(training.folder)))
