"""Trainings that should come out the same, whoever does them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dreammake.trainers.sft import Sft
from tests.support.training import PAIR_TEXTS, Training, sft_options

HALF = {"per_device_train_batch_size": 2}
"""The batch of each of two processes, where one has `WHOLE`."""
WHOLE = {"per_device_train_batch_size": 4}


def trained(training: Training, **given: Any) -> Training:
    Sft().run(sft_options(**PAIR_TEXTS, **{"max_steps": 2} | given), training)
    return training


def log_of(training: Training) -> list[dict[str, float]]:
    return [json.loads(line) for line in (training.folder / "training_log.jsonl").read_text().splitlines()]


def assert_alike(ranks: Training, alone: Training) -> None:
    """The losses agree to four decimals, and the models say the same."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    losses = [[entry["loss"] for entry in log_of(training)] for training in (ranks, alone)]
    assert losses[0] == pytest.approx(losses[1], abs=5e-5)
    assert [done for done, _, _ in ranks.steps] == [1, 2]
    tokenizer = AutoTokenizer.from_pretrained(ranks.folder)
    words = tokenizer("What is 3 and 3?", return_tensors="pt")
    models = [AutoModelForCausalLM.from_pretrained(training.folder) for training in (ranks, alone)]
    logits = [model(**words).logits for model in models]
    assert logits[0].allclose(logits[1], atol=1e-3)
    assert {file.name for file in ranks.folder.iterdir()} == {file.name for file in alone.folder.iterdir()}
    answers = [model.generate(**words, max_new_tokens=8, do_sample=False) for model in models]
    assert answers[0].equal(answers[1])
