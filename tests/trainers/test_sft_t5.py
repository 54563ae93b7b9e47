"""`train sft` on a base with an encoder and a decoder: a tiny T5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.values import Template
from dreammake.trainers.sft import Sft
from tests.support.tiny_t5 import tiny_t5
from tests.support.training import LORA, PAIR_TEXTS, PAIRS, Training, digests, sft_options, training_in

QUICK = {"max_steps": 6, "learning_rate": 0.03, "gradient_checkpointing": False}


def trained(folder: Path, *, rows: list[dict[str, Any]] = PAIRS, **given: Any) -> Training:
    training = training_in(folder, rows, eval_rows=rows[:4])
    training.base = tiny_t5(folder / "t5")
    shape = {} if {"text", "messages"} & set(given) else PAIR_TEXTS
    Sft().run(sft_options(**{**QUICK, **shape, **given}), training)
    return training


def losses_of(training: Training) -> list[float]:
    lines = (training.folder / "training_log.jsonl").read_text().splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


@pytest.mark.slow
def test_it_learns_and_opens_again(tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    training = trained(tmp_path, max_steps=60, eval_strategy="no")
    losses = losses_of(training)
    assert losses[-1] < losses[0] / 2
    model = AutoModelForSeq2SeqLM.from_pretrained(training.folder)
    words = AutoTokenizer.from_pretrained(training.folder)("What is 3 and 3 ?", return_tensors="pt")
    told = AutoTokenizer.from_pretrained(training.folder).decode(model.generate(**words)[0], skip_special_tokens=True)
    assert told.startswith("It is")


@pytest.mark.slow
def test_the_loss_counts_the_completion_only(tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    training = trained(tmp_path, rows=PAIRS[:1], max_steps=1, learning_rate=0.0)
    tokenizer = AutoTokenizer.from_pretrained(training.base)
    model = AutoModelForSeq2SeqLM.from_pretrained(training.base).eval()
    labels = tokenizer(PAIRS[0]["answer"], return_tensors="pt")["input_ids"]
    read = tokenizer(PAIRS[0]["question"], return_tensors="pt")
    facts = json.loads((training.folder / "training.json").read_text())
    assert facts["eval_loss"] == pytest.approx(model(**read, labels=labels).loss.item(), rel=1e-4)


@pytest.mark.slow
def test_accumulated_batches_count_as_one(tmp_path: Path) -> None:
    still = {"max_steps": 1, "learning_rate": 0.0, "eval_strategy": "no"}
    at_once = trained(tmp_path / "once", **still, per_device_train_batch_size=8)
    one_by_one = trained(tmp_path / "each", **still, per_device_train_batch_size=1, gradient_accumulation_steps=8)
    assert losses_of(one_by_one) == pytest.approx(losses_of(at_once), rel=0.1)  # what drops out differs


@pytest.mark.slow
def test_an_adapter_names_its_task_and_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (trained(tmp_path / name, peft=LORA) for name in ("a", "b"))
    assert digests(first.folder) == digests(second.folder)
    config = json.loads((first.folder / "adapter_config.json").read_text())
    assert (config["task_type"], config["base_model_name_or_path"]) == ("SEQ_2_SEQ_LM", "models/small")
    merged = trained(tmp_path / "merged", peft=LORA, merge=True)
    assert (merged.folder / "config.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"gradient_checkpointing": True, "peft": LORA}, {"system": Template("What .")}])
def test_checkpointing_of_gradients_and_a_system_prompt(tmp_path: Path, given: dict[str, Any]) -> None:
    losses = losses_of(trained(tmp_path, **given))
    assert losses[-1] < losses[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"packing": True}, "`packing` is for models that continue a text"),
        ({"text": Template("{{ question }}")}, "`text` is for models that continue a text"),
        ({"messages": Template("{{ question }}")}, "`messages` is for models that continue a text"),
    ],
)
def test_what_only_a_causal_model_can_do_is_refused(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(DreamError) as error:
        trained(tmp_path, **given)
    assert error.value.diagnostics[0].code == "no-causal-model"
    assert message in error.value.diagnostics[0].message


@pytest.mark.slow
def test_a_tokenizer_that_cannot_fill_up_texts(tmp_path: Path) -> None:
    training = training_in(tmp_path)
    training.base = tiny_t5(tmp_path / "t5", end=False)
    with pytest.raises(DreamError) as error:
        Sft().run(sft_options(**PAIR_TEXTS), training)
    assert error.value.diagnostics[0].code == "no-pad-token"
