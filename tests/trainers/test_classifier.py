"""`train classifier`: what is checked before, and real trainings of a small encoder and a small causal model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.values import Template
from dreammake.trainers.classifier import Classifier
from tests.support.minilm import MINILM, needs_minilm, options_of, trained
from tests.support.small_model import small_model
from tests.support.training import LORA, Training, digests

REVIEWS = [
    {"review": "A joy from start to end.", "mood": "good", "tags": ["joy", "long"]},
    {"review": "I fell asleep.", "mood": "bad", "tags": ["long"]},
    {"review": "Lovely and warm, a joy.", "mood": "good", "tags": ["joy"]},
    {"review": "Awful, dull and cold.", "mood": "bad", "tags": []},
]
TEXT = {"text": Template("{{ review }}")}
ONE = TEXT | {"label": Template("{{ mood }}")}
SEVERAL = TEXT | {"labels": Template("{{ tags }}")}


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (TEXT, "missing-option", "`train classifier` does not say what the label of a row is"),
        (ONE | SEVERAL, "conflicting-options", "`train classifier` takes `label` or `labels`, not both"),
        (SEVERAL | {"label_smoothing_factor": 0.1}, "conflicting-options", "is for rows with one label"),
    ],
)
def test_a_row_has_one_label_or_a_list_of_them(given: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(Wrong) as wrong:
        Classifier.needs(options_of(Classifier, **given), None)
    assert wrong.value.code == code
    assert message in wrong.value.message


def facts_of(training: Training) -> dict[str, Any]:
    return json.loads((training.folder / "training.json").read_text())  # type: ignore[no-any-return]


def log_of(training: Training) -> list[dict[str, float]]:
    return [json.loads(line) for line in (training.folder / "training_log.jsonl").read_text().splitlines()]


def refusal(folder: Path, rows: list[dict[str, Any]] = REVIEWS, **given: Any) -> tuple[str, str, str]:
    with pytest.raises(DreamError) as error:
        trained(Classifier, folder, rows, **{**ONE, **given})
    assert error.value.exit_code == 1
    found = error.value.diagnostics[0]
    return found.code, found.message, found.hint


@pytest.fixture(scope="module")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """One label a row, and an `eval` input."""
    return trained(Classifier, tmp_path_factory.mktemp("critic"), REVIEWS, eval_rows=REVIEWS, **ONE)


@pytest.mark.slow
@needs_minilm
def test_it_tells_the_label_through_the_pipeline(critic: Training) -> None:
    from transformers import pipeline

    tell = pipeline("text-classification", model=str(critic.folder))
    assert [found["label"] for found in tell([row["review"] for row in REVIEWS])] == ["good", "bad", "good", "bad"]
    assert json.loads((critic.folder / "config.json").read_text())["id2label"] == {"0": "bad", "1": "good"}


@pytest.mark.slow
@needs_minilm
def test_it_is_measured_on_the_eval_input(critic: Training) -> None:
    last = log_of(critic)[-1]
    assert (last["eval_accuracy"], last["eval_f1"]) == (1.0, 1.0)
    assert facts_of(critic)["labels"] == ["bad", "good"]


@pytest.mark.slow
@needs_minilm
def test_equal_inputs_give_equal_bytes(critic: Training, tmp_path: Path) -> None:
    again = trained(Classifier, tmp_path, REVIEWS, eval_rows=REVIEWS, **ONE)
    assert digests(again.folder) == digests(critic.folder)


@pytest.mark.slow
@needs_minilm
def test_a_row_may_have_several_labels_or_none(tmp_path: Path) -> None:
    from transformers import pipeline

    training = trained(Classifier, tmp_path, REVIEWS, **SEVERAL, peft=LORA, learning_rate=0.02, max_steps=8)
    assert not (training.folder / "adapter_config.json").exists()
    tell = pipeline("text-classification", model=str(training.folder), top_k=None)
    told = [{found["label"] for found in each if found["score"] > 0.5} for each in tell([r["review"] for r in REVIEWS])]
    assert told == [{"joy", "long"}, {"long"}, {"joy"}, set()]


@pytest.mark.slow
def test_a_causal_model_may_be_the_base(tmp_path: Path) -> None:
    training = trained(Classifier, tmp_path, REVIEWS, base=small_model(), **ONE, peft=LORA, max_steps=2)
    from transformers import AutoModelForSequenceClassification

    model, report = AutoModelForSequenceClassification.from_pretrained(training.folder, output_loading_info=True)
    assert model.config.label2id == {"bad": 0, "good": 1}
    assert not report["missing_keys"]
    assert model.config.pad_token_id is not None


@pytest.mark.slow
def test_accumulated_batches_count_as_one(tmp_path: Path) -> None:
    still = {"learning_rate": 0.0, "max_steps": 1, "base": small_model()}
    at_once = trained(Classifier, tmp_path / "once", REVIEWS, **ONE, **still)
    one_by_one = trained(
        Classifier,
        tmp_path / "each",
        REVIEWS,
        **ONE,
        **still,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
    )
    assert facts_of(one_by_one)["loss"] == pytest.approx(facts_of(at_once)["loss"], rel=1e-3)


@pytest.mark.slow
@needs_minilm
def test_a_base_that_is_a_classifier_keeps_its_labels(critic: Training, tmp_path: Path) -> None:
    only_good = [row for row in REVIEWS if row["mood"] == "good"]
    again = trained(Classifier, tmp_path / "again", only_good, base=critic.folder, **ONE, max_steps=1)
    assert facts_of(again)["labels"] == ["bad", "good"]
    other = [row | {"mood": row["mood"] + "!"} for row in REVIEWS]
    assert refusal(tmp_path / "other", other, base=critic.folder) == (
        "unknown-label",
        "the base model models/minilm has no label `bad!`: it has `bad`, `good`",
        "say `ignore_mismatched_sizes: True` for a new head; or rename the labels of the rows",
    )
    third = [*other, {"review": "So so.", "mood": "so so"}]
    new = trained(
        Classifier, tmp_path / "new", third, base=critic.folder, **ONE, max_steps=1, ignore_mismatched_sizes=True
    )
    assert facts_of(new)["labels"] == ["bad!", "good!", "so so"]


@pytest.mark.slow
@needs_minilm
def test_a_row_without_a_label_is_an_error_row(tmp_path: Path) -> None:
    rows = [*REVIEWS, {"review": "What?", "mood": None}]
    training = trained(Classifier, tmp_path, rows, eval_rows=rows, **ONE, max_steps=1)
    assert facts_of(training)["rows"] == 4
    assert [(error.row, error.step, error.code, error.values["review"]) for error in training.errors] == [
        (4, "classifier", "no-label", "What?"),
        (4, "classifier, eval", "no-label", "What?"),
    ]


@pytest.mark.slow
@needs_minilm
def test_long_texts_are_cut_to_what_the_base_reads(tmp_path: Path) -> None:
    rows = [*REVIEWS, {"review": "dull " * 600, "mood": "bad"}]
    training = trained(Classifier, tmp_path, rows, **ONE, max_steps=5, per_device_train_batch_size=1)
    assert facts_of(training)["rows"] == 5


@pytest.mark.slow
@needs_minilm
@pytest.mark.parametrize(
    ("rows", "given", "code"),
    [
        ([], {}, "empty-dataset"),
        ([{"review": "What?", "mood": None}], {}, "empty-dataset"),
        (REVIEWS[:1], {}, "one-label"),
        (REVIEWS, {"label": Template("{{ tags }}")}, "several-labels"),
        (REVIEWS, {"label": None, "labels": Template("{{ mood }}")}, "not-a-list"),
        (REVIEWS, {"eval_rows": [{"review": "Hm.", "mood": "godo"}]}, "unknown-label"),
        (REVIEWS, {"bf16": True, "fp16": True}, "refused-options"),
        (REVIEWS, {"base": MINILM / "1_Pooling"}, "no-such-model"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_words(
    tmp_path: Path, rows: list[dict[str, Any]], given: dict[str, Any], code: str
) -> None:
    assert refusal(tmp_path, rows, **given)[0] == code


@pytest.mark.slow
def test_a_base_without_a_token_to_pad_with(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for file in small_model().iterdir():
        (base / file.name).symlink_to(file)
    settings = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").unlink()
    kept = {name: value for name, value in settings.items() if name not in ("pad_token", "eos_token")}
    (base / "tokenizer_config.json").write_text(json.dumps(kept))
    assert refusal(tmp_path / "project", base=base)[0] == "no-pad-token"
