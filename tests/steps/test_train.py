"""`train METHOD`: the options of its method, and what it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.job import Put
from dreammake.core.options import Wrong
from dreammake.core.rows import from_dicts
from dreammake.steps.train import Train, train_input
from dreammake.trainers.sft import Sft
from tests.support.small_model import small_model
from tests.support.training import LORA, PAIR_TEXTS, PAIRS, sft_options
from tests.support.work import TestWork


class TrainWork(TestWork):
    """A work whose first output and checkpoints are folders of the project."""

    def output_folder(self) -> Path:
        return self._made(".tmp/output")

    def checkpoint_folder(self) -> Path:
        return self._made(".tmp/checkpoints")

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        self.done.append((done, total))

    def _made(self, path: str) -> Path:
        self.path(path).mkdir(parents=True, exist_ok=True)
        return self.path(path)


def test_the_options_are_those_of_the_method() -> None:
    assert Train.options_for("sft") is Sft.Options


@pytest.mark.parametrize(("name", "message"), [("stf", "there is no training method `stf`"), (None, "needs a method")])
def test_an_unknown_method(name: str | None, message: str) -> None:
    with pytest.raises(Wrong) as wrong:
        Train.options_for(name)
    assert message in wrong.value.message
    assert "sft" in wrong.value.hint


def test_what_the_method_needs_is_checked_with_the_columns(tmp_path: Path) -> None:
    lacking = sft_options(prompt=PAIR_TEXTS["prompt"])
    with pytest.raises(Wrong, match="no `completion`"):
        Train.columns(lacking, "sft", ("question",), TestWork(tmp_path))


@pytest.mark.parametrize(
    ("inputs", "chosen"),
    [
        ([Put(None, "data/all", "dataset")], "data/all"),
        ([Put("eval", "data/b", "dataset"), Put("train", "data/a", "dataset")], "data/a"),
        ([Put("rows", "data/a", "dataset"), Put(None, "models/base", "model")], "data/a"),
        ([Put("eval", "data/b", "dataset"), Put("base", "models/found", None), Put(None, "data/a", None)], "data/a"),
        ([Put(None, "models/base", "model")], None),
    ],
)
def test_the_input_to_learn_from(tmp_path: Path, inputs: list[Put], chosen: str | None) -> None:
    (tmp_path / "models/found").mkdir(parents=True)
    (tmp_path / "models/found/config.json").write_text("{}")
    found = train_input(TestWork(tmp_path, inputs))
    assert (found and found.path) == chosen


def test_a_base_that_is_no_model_yet_is_not_learned_from(tmp_path: Path) -> None:
    work = TestWork(tmp_path, [Put(None, "data/a", None), Put("base", "models/empty", None)])
    found = train_input(work, "models/empty")
    assert found is not None
    assert found.path == "data/a"


def test_several_datasets_and_none_named_train(tmp_path: Path) -> None:
    work = TestWork(tmp_path, [Put("a", "data/a", "dataset"), Put("b", "data/b", "dataset")])
    with pytest.raises(DreamError, match=r"ambiguous-input: .*data/a, data/b"):
        train_input(work)


def project(folder: Path, **inputs: list[dict[str, Any]]) -> TrainWork:
    """A project whose inputs are written, and whose base model is a local folder."""
    (folder / "models").mkdir()
    (folder / "models/small").symlink_to(small_model())
    work = TrainWork(
        folder, [Put(name, f"data/{name}", "dataset") for name in inputs], [Put(None, "models/m", "model")]
    )
    for name, rows in inputs.items():
        work.dataset(f"data/{name}", rows)
    return work


@pytest.mark.slow
def test_it_trains_on_its_inputs(tmp_path: Path) -> None:
    work = project(tmp_path, eval=PAIRS[:3], train=PAIRS)
    assert Train().run(sft_options(**PAIR_TEXTS, peft=LORA, max_steps=2), "sft", None, work) == {}
    facts = json.loads((work.output_folder() / "training.json").read_text())
    assert (facts["rows"], facts["steps"], "eval_loss" in facts) == (16, 2, True)
    assert work.done == [(1, 2), (2, 2)]


@pytest.mark.slow
def test_it_trains_on_the_rows_of_the_step_before(tmp_path: Path) -> None:
    work = project(tmp_path, pairs=PAIRS)
    filtered = from_dicts(("question", "answer"), iter(PAIRS[:5]))
    Train().run(sft_options(**PAIR_TEXTS, peft=LORA, max_steps=1), "sft", filtered, work)
    assert json.loads((work.output_folder() / "training.json").read_text())["rows"] == 5
