from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.trainers.sft import Sft
from tests.support.small_model import small_model
from tests.support.training import PAIR_TEXTS, PAIRS, Training, sft_options, training_in

pytestmark = pytest.mark.slow


def training_on(folder: Path, rows: list[dict[str, str]], change: Callable[[Path], object]) -> Training:
    """A training on a base whose tokenizer was changed."""
    training = training_in(folder, rows)
    base = folder / "base"
    base.mkdir()
    for file in small_model().iterdir():
        (base / file.name).symlink_to(file)
    change(base)
    training.base = base
    return training


def refusal(training: Training) -> Diagnostic:
    with pytest.raises(DreamError) as caught:
        Sft().run(sft_options(**PAIR_TEXTS, base="models/base", max_steps=1), training)
    return caught.value.diagnostics[0]


def one_more_token(base: Path) -> None:
    """The tokenizer knows `<more>`, and the model does not."""
    document = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    document["added_tokens"].append({**document["added_tokens"][-1], "id": 49_152, "content": "<more>"})
    (base / "tokenizer.json").unlink()
    (base / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")


def test_a_token_that_the_model_does_not_have_is_found_before_the_first_step(tmp_path: Path) -> None:
    training = training_on(tmp_path, [*PAIRS, {"question": "What is <more>?", "answer": "It is."}], one_more_token)
    found = refusal(training)
    assert (found.code, found.message) == (
        "wrong-tokenizer",
        "the tokenizer of models/base writes the texts in tokens that the model does not have: "
        "token 49,152, and it has 49,152",
    )
    assert training.steps == []


def test_a_token_that_no_row_has_is_no_error(tmp_path: Path) -> None:
    training = training_on(tmp_path, PAIRS, one_more_token)
    Sft().run(sft_options(**PAIR_TEXTS, max_steps=1), training)
    assert (training.folder / "model.safetensors").is_file()


def without_tokenizer(base: Path) -> None:
    for file in base.glob("tokenizer*"):
        file.unlink()


def with_another_file(base: Path) -> None:
    (base / "tokenizer.json").unlink()
    (base / "tokenizer.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("change", [without_tokenizer, with_another_file])
def test_a_tokenizer_that_cannot_be_opened(tmp_path: Path, change: Callable[[Path], object]) -> None:
    found = refusal(training_on(tmp_path, PAIRS, change))
    assert (found.code, found.message) == ("wrong-tokenizer", "the tokenizer of models/base cannot be opened")
