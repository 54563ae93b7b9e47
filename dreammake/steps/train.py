"""Trains a model on the rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreammake.core import hosted_model
from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import fail
from dreammake.core.job import Put
from dreammake.core.judgement import scores
from dreammake.core.options import OptionSet, Wrong
from dreammake.core.rows import Rows
from dreammake.core.spelling import did_you_mean
from dreammake.core.step import Columns, Look, RowError, Step, Work
from dreammake.core.trainer import Trainer
from dreammake.core.values import ModelSpec

_MODEL_FILES = ("config.json", "adapter_config.json", hosted_model.FILE)


@dataclass(slots=True)
class _Training:
    """What the trainer uses of a job (`core.trainer.Training`)."""

    train: Rows
    eval: Rows | None
    folder: Path
    checkpoints: Path
    base: str | Path
    gpus: int
    nodes: int
    meeting: Path | None
    work: Work

    def path(self, path: str) -> Path:
        return self.work.path(path)

    def scores(self, judge: ModelSpec, questions: Sequence[str], scale: Sequence[float] | None) -> list[float | None]:
        return scores(self.work, judge, questions, scale)

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        self.work.progress(done, total, **measures)

    def say(self, line: str) -> None:
        self.work.say(line)

    def tell(self, line: str) -> None:
        self.work.tell(line)

    def error(self, error: RowError) -> None:
        self.work.error(error)


class Train(Step):
    """Trains a model, by a method such as `sft`, and leaves a folder that `from_pretrained` opens.

    It learns from the input named `train`, or from the only one, and measures itself on the input named `eval`
    where there is one. The options are those of the method: `dreammake help sft`.
    """

    named = "method"
    makes = "model"
    model_option = "judge"
    last = True
    pure = False
    paper = "TrainHFFineTune, TrainHFDPO, TrainHFPPO, TrainHFRewardModel, TrainHFClassifier"
    example = """
rule pairs:
    output: "data/pairs"
    rows: [
        {"word": "cat", "plural": "cats"},
        {"word": "box", "plural": "boxes"},
    ]

rule pluralizer:
    input: "data/pairs"
    output: "models/pluralizer"
    train sft:
        base: "smollm2"
        prompt: "The plural of {{ word }}?"
        completion: "{{ plural }}"
        peft: lora(r=8)
        max_steps: 2
"""

    class Options(OptionSet):
        """Those of the method: `options_for`."""

    @classmethod
    def options_for(cls, name: str | None) -> type[OptionSet]:
        """The options of the method. Raises Wrong where there is no such method."""
        return cls._trainer(name).Options

    @classmethod
    def columns(cls, options: OptionSet, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        cls._trainer(name).needs(options, have)
        return ()

    def run(self, options: Any, name: str | None, rows: Rows | None, work: Work) -> Mapping[str, Rows]:
        """Train on `rows`, where steps before this one made them, and else on the job's input. Makes no rows."""
        trainer = self._trainer(name)
        base = options.values.get("base") or ""
        chosen = train_input(work, base)
        if rows is not None and (chosen is None or chosen.name != "train"):
            train = rows if rows.count is not None else work.spool(rows)
        elif chosen is not None:
            train = work.open(chosen.path)
        else:
            fail("missing-input", f"`train {name}` has no dataset to learn from", hint="name one: input: train: ...")
        eval_ = next((work.open(put.path) for put in work.inputs if put.name == "eval"), None)
        folder = work.path(base) if base else None
        trainer().run(
            options,
            _Training(
                train=train,
                eval=eval_,
                folder=work.output_folder(),
                checkpoints=work.checkpoint_folder(),
                base=folder if folder is not None and folder.is_dir() else base,
                gpus=len(work.gpus),
                nodes=work.nodes,
                meeting=work.meeting,
                work=work,
            ),
        )
        return {}

    @staticmethod
    def _trainer(name: str | None) -> type[Trainer]:
        catalog = Catalog()
        found = catalog.find("trainers", name) if name else None
        if found is None:
            known = catalog.names("trainers")
            said = f"there is no training method `{name}`" if name else "`train` needs a method: `train sft:`"
            raise Wrong(said, did_you_mean(name or "", known), "unknown-method")
        return found  # type: ignore[no-any-return]


def train_input(work: Work, base: str = "") -> Put | None:
    """The input to learn from: the one named `train`, or the only dataset that is neither `eval` nor the `base`.

    None where there is none; raises DreamError where there are several and none is named `train`.
    """
    datasets = [put for put in work.inputs if put.name != "eval" and put.path != base and not _is_model(put, work)]
    named = [put for put in datasets if put.name == "train"]
    if len(datasets) > 1 and not named:
        listed = ", ".join(put.path for put in datasets)
        fail(
            "ambiguous-input",
            f"there are several datasets to train on: {listed}",
            hint='name the one to learn from: `input:` with `train: "..."` in its block',
        )
    return next(iter(named or datasets), None)


def _is_model(put: Put, work: Work) -> bool:
    if put.kind is not None:
        return put.kind == "model"
    folder = work.path(put.path)
    return any(os.path.isfile(folder / file) for file in _MODEL_FILES)
