"""`train embedder`: each shape of data, on a small real embedding model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import EngineContext
from dreammake.core.options import Wrong
from dreammake.core.values import ModelSpec, Template
from dreammake.trainers.embedder import Embedder
from tests.support.minilm import MINILM, needs_minilm, options_of, trained
from tests.support.small_model import small_model
from tests.support.training import LORA, Training, digests, training_in

ROWS = [
    {"a": "blorp", "b": "A cat sleeps.", "c": "Stocks fell.", "near": 0.9, "same": True, "kind": "animal"},
    {"a": "zindle", "b": "A dog barks.", "c": "Rain all day.", "near": 0.8, "same": True, "kind": "animal"},
    {"a": "frant", "b": "Prices rise.", "c": "A horse runs.", "near": 0.1, "same": False, "kind": "money"},
    {"a": "quist", "b": "The bank closed.", "c": "Birds sing.", "near": 0.2, "same": False, "kind": "money"},
]
A, B, C = Template("{{ a }}"), Template("{{ b }}"), Template("{{ c }}")
PAIRS = {"anchor": A, "positive": B}
TRIPLETS = PAIRS | {"negative": C}
SCORED = PAIRS | {"score": Template("{{ near }}")}
MATCHED = PAIRS | {"label": Template("{{ same }}")}
CLASSES = {"anchor": B, "label": Template("{{ kind }}")}


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"anchor": A}, "missing-option", "has an `anchor`, and nothing to compare it with"),
        (TRIPLETS | SCORED, "conflicting-options", "has no use for `anchor`, `negative`, `positive`, `score` together"),
        (
            PAIRS | {"loss": "CoSENTLoss"},
            "conflicting-options",
            "CoSENTLoss does not take rows of anchor and positive",
        ),
    ],
)
def test_the_data_has_one_shape_and_a_loss_that_takes_it(given: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(Wrong) as wrong:
        Embedder.needs(options_of(Embedder, **given), None)
    assert wrong.value.code == code
    assert message in wrong.value.message


@pytest.mark.parametrize("given", [PAIRS, TRIPLETS, SCORED, MATCHED, CLASSES])
def test_each_shape_of_data_is_enough(given: dict[str, Any]) -> None:
    Embedder.needs(options_of(Embedder, **given), None)


def likeness(folder: Path, one: str, other: str) -> float:
    """The cosine of two texts by the model of a folder, through the engine of that name."""
    kind = Catalog().embedder("sentence-transformers")
    engine = kind(ModelSpec("m", str(folder), "sentence-transformers", {}), EngineContext(Path))  # type: ignore[misc]
    first, second = engine.embed([one, other])
    return float(first @ second / (first @ first) ** 0.5 / (second @ second) ** 0.5)


def log_of(training: Training) -> list[dict[str, float]]:
    return [json.loads(line) for line in (training.folder / "training_log.jsonl").read_text().splitlines()]


@pytest.mark.slow
@needs_minilm
@pytest.mark.parametrize(
    ("given", "measure"),
    [
        (PAIRS, "eval_loss"),
        (TRIPLETS, "eval_cosine_accuracy"),
        (SCORED, "eval_spearman_cosine"),
        (MATCHED, "eval_cosine_f1"),
    ],
)
def test_what_belongs_together_comes_near(tmp_path: Path, given: dict[str, Any], measure: str) -> None:
    training = trained(Embedder, tmp_path, ROWS, eval_rows=ROWS, max_steps=6, logging_steps=1, **given)
    assert likeness(training.folder, "blorp", "A cat sleeps.") > likeness(MINILM, "blorp", "A cat sleeps.") + 0.1
    log = log_of(training)
    assert any(measure in entry for entry in log)
    facts = json.loads((training.folder / "training.json").read_text())
    assert (facts["method"], facts["rows"], facts["steps"]) == ("embedder", 4, 6)


@pytest.mark.slow
@needs_minilm
def test_texts_of_a_class_come_near(tmp_path: Path) -> None:
    training = trained(Embedder, tmp_path, ROWS, **CLASSES, max_steps=6, loss_args={"margin": 1})
    between = ("A cat sleeps.", "A dog barks.")
    assert likeness(training.folder, *between) > likeness(MINILM, *between) + 0.1


@pytest.mark.slow
@needs_minilm
def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (trained(Embedder, tmp_path / name, ROWS, **TRIPLETS, max_steps=2) for name in ("a", "b"))
    assert digests(first.folder) == digests(second.folder)
    assert not (first.folder / "README.md").exists()


@pytest.mark.slow
@needs_minilm
def test_what_the_libraries_print_is_in_the_log_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    training = trained(Embedder, tmp_path, ROWS, **PAIRS, max_steps=1, logging_steps=1)
    assert capfd.readouterr() == ("", "")
    assert any("'loss'" in line for line in training.lines)


@pytest.mark.slow
@needs_minilm
def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    given = {**TRIPLETS, "peft": LORA, "save_steps": 2, "max_steps": 4}
    whole = trained(Embedder, tmp_path / "whole", ROWS, **given)
    killed = training_in(tmp_path / "killed", ROWS)
    killed.base, killed.stop_at = MINILM, 3
    with pytest.raises(KeyboardInterrupt):
        Embedder().run(options_of(Embedder, **given), killed)
    again = trained(Embedder, tmp_path / "killed", ROWS, **given)
    assert again.steps[0][0] == 3, "it goes on after the checkpoint of step 2"
    assert digests(again.folder) == digests(whole.folder)


@pytest.mark.slow
@needs_minilm
def test_an_adapter_alone_and_in_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "minilm").symlink_to(MINILM)
    alone = trained(Embedder, tmp_path / "alone", ROWS, **PAIRS, peft=LORA, learning_rate=0.01)
    merged = trained(Embedder, tmp_path / "merged", ROWS, **PAIRS, peft=LORA, learning_rate=0.01, merge=True)
    assert json.loads((alone.folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "models/minilm"
    assert not (alone.folder / "model.safetensors").exists()
    assert not (merged.folder / "adapter_config.json").exists()
    monkeypatch.chdir(tmp_path)  # an adapter names its base as the Dreamfile does: from the project
    found = likeness(alone.folder, "blorp", "A cat sleeps.")
    assert found == pytest.approx(likeness(merged.folder, "blorp", "A cat sleeps."), abs=1e-4)
    assert found != pytest.approx(likeness(MINILM, "blorp", "A cat sleeps."), abs=0.01)


@pytest.mark.slow
@needs_minilm
def test_vectors_that_can_be_cut(tmp_path: Path) -> None:
    plain = trained(Embedder, tmp_path / "plain", ROWS, **PAIRS, max_steps=1, logging_steps=1)
    cut = trained(Embedder, tmp_path / "cut", ROWS, **PAIRS, max_steps=1, logging_steps=1, matryoshka_dims=[384, 64])
    assert log_of(cut)[0]["loss"] > log_of(plain)[0]["loss"]


@pytest.mark.slow
def test_a_model_that_was_not_made_for_embeddings_gets_mean_pooling(tmp_path: Path) -> None:
    training = trained(Embedder, tmp_path, ROWS, base=small_model(), **PAIRS, max_steps=1)
    assert 0 < likeness(training.folder, "blorp", "A cat sleeps.") < 1


@pytest.mark.slow
@needs_minilm
def test_a_score_that_is_no_number_is_an_error_row(tmp_path: Path) -> None:
    rows = [*ROWS, ROWS[0] | {"near": None}]
    training = trained(Embedder, tmp_path, rows, **SCORED, max_steps=1)
    assert [(error.row, error.code) for error in training.errors] == [(4, "no-label")]


@pytest.mark.slow
@needs_minilm
@pytest.mark.parametrize(
    ("rows", "given", "code"),
    [
        ([], PAIRS, "empty-dataset"),
        (ROWS[:1], CLASSES, "one-label"),
        (ROWS, PAIRS | {"loss_args": {"scael": 1.0}}, "unknown-argument"),
        (ROWS, PAIRS | {"base": MINILM / "1_Pooling"}, "no-such-model"),
        (ROWS, PAIRS | {"bf16": True, "fp16": True}, "refused-options"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_words(
    tmp_path: Path, rows: list[dict[str, Any]], given: dict[str, Any], code: str
) -> None:
    with pytest.raises(DreamError) as error:
        trained(Embedder, tmp_path, rows, **given)
    assert error.value.diagnostics[0].code == code
    assert error.value.exit_code == 1
