"""`train dpo`, `kto`, `orpo` and `reward`: what is checked before, and real trainings of a small real model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.values import Template
from dreammake.trainers.dpo import LOSSES, Dpo
from tests.support.methods import (
    PREFERENCE_TEXTS,
    PREFERENCES,
    expression,
    facts_of,
    losses_of,
    options_of,
    trained,
)
from tests.support.training import LORA, Training, digests, training_in

LN2 = math.log(2)
LABELLED = [
    {"question": row["question"], "answer": row["good" if n % 2 else "bad"], "stars": 5 * (n % 2)}
    for n, row in enumerate(PREFERENCES)
]
LABELLED_TEXTS = {
    "prompt": Template("{{ question }}"),
    "completion": Template("{{ answer }}"),
    "label": expression("stars > 3"),
}
DATA = {
    "dpo": (PREFERENCES, PREFERENCE_TEXTS),
    "orpo": (PREFERENCES, PREFERENCE_TEXTS),
    "reward": (PREFERENCES, PREFERENCE_TEXTS),
    "kto": (LABELLED, LABELLED_TEXTS),
}


def wrong(method: str, have: tuple[str, ...] | None = None, **given: Any) -> Wrong:
    with pytest.raises(Wrong) as caught:
        Catalog().find("trainers", method).needs(options_of(method, **given), have)
    return caught.value


def refusal(method: str, folder: Path, rows: list[dict[str, Any]], **given: Any) -> DreamError:
    with pytest.raises(DreamError) as caught:
        trained(method, folder, rows, **given)
    assert caught.value.exit_code == 1
    return caught.value


@pytest.mark.parametrize("method", DATA)
def test_all_of_the_data_is_enough(method: str) -> None:
    Catalog().find("trainers", method).needs(options_of(method, **DATA[method][1]), None)


@pytest.mark.parametrize(
    ("method", "lacking", "have", "hint"),
    [
        ("dpo", "chosen", ("chosen", "rejected"), 'chosen: "{{ chosen }}"'),
        ("dpo", "rejected", ("chosen", "rejectd"), 'rejected: "{{ rejectd }}"'),
        ("orpo", "prompt", ("a", "b"), 'prompt: "{{ column }}"; columns here: a, b'),
        ("reward", "chosen", None, 'chosen: "{{ column }}"'),
        ("kto", "completion", ("completions",), 'completion: "{{ completions }}"'),
        ("kto", "label", ("label",), "label: label"),
    ],
)
def test_data_that_is_missing_is_asked_for(method: str, lacking: str, have: tuple[str, ...] | None, hint: str) -> None:
    texts = {name: text for name, text in DATA[method][1].items() if name != lacking}
    error = wrong(method, have, **texts)
    assert (error.code, error.message) == ("missing-option", f"`train {method}` does not say what `{lacking}` is")
    assert error.hint.endswith(hint)


def test_a_system_prompt_belongs_to_a_prompt() -> None:
    texts = {name: text for name, text in PREFERENCE_TEXTS.items() if name != "prompt"}
    Catalog().find("trainers", "reward").needs(options_of("reward", **texts), None)
    assert "no `prompt` that it belongs to" in wrong("reward", system=Template("Be brief."), **texts).message


@pytest.mark.parametrize("method", ["sft", *DATA])
def test_weights_in_few_bits_need_an_adapter(method: str) -> None:
    texts = {"text": Template("{{ question }}")} if method == "sft" else DATA[method][1]
    error = wrong(method, quantization="nf4", **texts)
    assert (error.code, "peft: lora()" in error.hint) == ("missing-option", True)


def test_the_losses_of_dpo() -> None:
    loss = Dpo.Options.declared()["loss_type"]
    assert loss.check("ipo") == ["ipo"]
    assert loss.check(list(LOSSES)) == list(LOSSES)
    with pytest.raises(Wrong, match="`loss_type` has no loss `sigmiod`") as caught:
        loss.check(["sft", "sigmiod"])
    assert caught.value.hint == "did you mean `sigmoid`?"


@pytest.mark.slow
@pytest.mark.parametrize("method", DATA)
def test_equal_inputs_give_equal_bytes_and_the_folder_names_its_base(method: str, tmp_path: Path) -> None:
    rows, texts = DATA[method]
    once, again = (trained(method, tmp_path / name, rows, **texts, peft=LORA) for name in ("once", "again"))
    assert digests(once.folder) == digests(again.folder)
    config = json.loads((once.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "models/small"
    assert (facts_of(once)["method"], facts_of(once)["steps"], facts_of(once)["rows"]) == (method, 2, 4)


def log_probabilities(
    model: Any, tokenizer: Any, row: dict[str, Any], answer: str, *, end: tuple[int, ...] = ()
) -> tuple[Any, Any]:
    """Of the tokens of an answer in its chat, and of the whole chat without its first token."""
    import torch

    asked = [{"role": "user", "content": row["question"]}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    chat = [*asked, {"role": "assistant", "content": answer}]
    whole = torch.tensor([[*tokenizer.apply_chat_template(chat, return_dict=False), *end]])
    with torch.no_grad():
        scores = model(whole).logits[0, :-1].log_softmax(-1)
    each = scores.gather(1, whole[0, 1:, None])[:, 0]
    return each[len(prompt) - 1 :], each


@pytest.fixture(scope="module")
def one_step(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A DPO adapter after one large step."""
    folder = tmp_path_factory.mktemp("one")
    return trained("dpo", folder, **PREFERENCE_TEXTS, **LARGE_STEPS, max_steps=1)


LARGE_STEPS: dict[str, Any] = {
    "peft": LORA,
    "learning_rate": 0.01,
    "lr_scheduler_type": "constant",
    "per_device_train_batch_size": 4,
}


@pytest.mark.slow
def test_the_loss_of_dpo_is_that_of_its_paper(one_step: Training, tmp_path: Path) -> None:
    from peft import PeftModel
    from torch.nn.functional import logsigmoid
    from transformers import AutoModelForCausalLM, AutoTokenizer

    two = trained("dpo", tmp_path, **PREFERENCE_TEXTS, **LARGE_STEPS, max_steps=2)
    tokenizer = AutoTokenizer.from_pretrained(one_step.base)
    base = AutoModelForCausalLM.from_pretrained(one_step.base)
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(one_step.base), one_step.folder)
    total = 0.0
    for row in PREFERENCES:
        ratio = {
            answer: log_probabilities(tuned, tokenizer, row, row[answer])[0].sum()
            - log_probabilities(base, tokenizer, row, row[answer])[0].sum()
            for answer in ("good", "bad")
        }
        total -= logsigmoid(0.1 * (ratio["good"] - ratio["bad"])).item()
    first, second = losses_of(two)
    assert first == pytest.approx(LN2, rel=1e-5)
    assert second == pytest.approx(total / len(PREFERENCES), rel=1e-3)


@pytest.mark.slow
def test_every_loss_of_dpo_runs(tmp_path: Path) -> None:
    """Where the model still is its reference, each loss is a known number; that of `sft` alone is not."""
    beta, smoothing = 0.1, 0.1
    start = {
        "hinge": 1.0,
        "ipo": (1 / (2 * beta)) ** 2,
        "exo_pair": 0.5 * (math.log(0.5 / (1 - smoothing)) + math.log(0.5 / smoothing)),
        "nca_pair": 2 * LN2,
        "bco_pair": 2 * LN2,
        "sppo_hard": 2 * (0.5 / beta) ** 2,
        "apo_zero": 1.0,
        "apo_down": 1.0,
        "discopop": 0.5 * LN2 + 0.5,
        "sft": 0.0,
    }
    weights = [0.0 if loss == "sft" else 1.0 for loss in LOSSES]
    given = {"loss_type": list(LOSSES), "loss_weights": weights, "label_smoothing": smoothing, "beta": beta}
    training = trained("dpo", tmp_path, **PREFERENCE_TEXTS, peft=LORA, max_steps=1, **given)
    assert losses_of(training)[0] == pytest.approx(sum(start.get(loss, LN2) for loss in LOSSES), rel=1e-4)


@pytest.mark.slow
def test_the_loss_of_orpo_is_that_of_its_paper(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    row = PREFERENCES[0]
    training = trained("orpo", tmp_path, [row], **PREFERENCE_TEXTS, peft=LORA, max_steps=1, beta=0.5)
    model = AutoModelForCausalLM.from_pretrained(training.base)
    tokenizer = AutoTokenizer.from_pretrained(training.base)
    odds = {}
    for answer in ("bad", "good"):
        end = (tokenizer.eos_token_id,)  # TRL ends each answer with one more
        own, whole = log_probabilities(model, tokenizer, row, row[answer], end=end)
        odds[answer] = own.mean() - torch.log1p(-own.mean().exp())
    expected = -whole.mean() - 0.5 * torch.nn.functional.logsigmoid(odds["good"] - odds["bad"])
    assert losses_of(training)[0] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.slow
def test_kto_begins_where_good_and_bad_weigh_the_same(tmp_path: Path) -> None:
    first, second = losses_of(trained("kto", tmp_path, LABELLED, **LABELLED_TEXTS, **LARGE_STEPS))
    assert first == pytest.approx(0.5, rel=1e-4)
    assert second < first


@pytest.mark.slow
def test_labels_that_are_not_true_or_false(tmp_path: Path) -> None:
    rows = [{**row, "verdict": "good"} for row in LABELLED]
    error = refusal("kto", tmp_path / "text", rows, **LABELLED_TEXTS | {"label": expression("verdict")})
    assert error.diagnostics[0].code == "no-label"
    assert error.diagnostics[0].message == '`label` is True or False, and `verdict` is the text "good"'
    rows = [{**row, "liked": None if n == 2 else bool(n % 2)} for n, row in enumerate(LABELLED)]
    texts = LABELLED_TEXTS | {"label": expression("liked")}
    training = trained("kto", tmp_path / "null", rows, **texts, peft=LORA, max_steps=1)
    assert [(error.row, error.code) for error in training.errors] == [(2, "no-label")]
    assert facts_of(training)["rows"] == 3


@pytest.mark.slow
def test_a_reward_model_scores_the_better_answer_higher(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    given = {**LARGE_STEPS, "learning_rate": 0.003, "max_steps": 8, "merge": True}
    training = trained("reward", tmp_path, **PREFERENCE_TEXTS, **given)
    model = AutoModelForSequenceClassification.from_pretrained(training.folder)
    tokenizer = AutoTokenizer.from_pretrained(training.folder)
    assert model.config.num_labels == 1
    for row in PREFERENCES[:3]:
        asked = {"role": "user", "content": row["question"]}
        better, worse = (
            model(
                **tokenizer.apply_chat_template(
                    [asked, {"role": "assistant", "content": row[answer]}], return_tensors="pt", return_dict=True
                )
            ).logits.item()
            for answer in ("good", "bad")
        )
        assert better > worse


@pytest.mark.slow
def test_whole_texts_need_no_prompt(tmp_path: Path) -> None:
    texts = {name: text for name, text in PREFERENCE_TEXTS.items() if name != "prompt"}
    assert facts_of(trained("reward", tmp_path, **texts, peft=LORA, max_steps=1))["rows"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("method", DATA)
def test_rows_that_are_too_long_go_to_the_error_table(method: str, tmp_path: Path) -> None:
    rows, texts = DATA[method]
    long = {**rows[0], "question": "why " * 200}
    training = trained(method, tmp_path, [long, *rows[1:]], **texts, peft=LORA, max_steps=1, max_length=96)
    assert [(error.row, error.code) for error in training.errors] == [(0, "context-overflow")]
    assert facts_of(training)["rows_left_out"] == 1
    assert any(line.startswith("1 of 4 rows are left out") for line in training.lines)
    assert math.isfinite(losses_of(training)[0])


@pytest.mark.slow
def test_nothing_to_learn_from(tmp_path: Path) -> None:
    assert refusal("dpo", tmp_path / "empty", [], **PREFERENCE_TEXTS).diagnostics[0].code == "empty-dataset"
    long = [{**row, "question": "why " * 200} for row in PREFERENCES]
    error = refusal("dpo", tmp_path / "long", long, **PREFERENCE_TEXTS, peft=LORA, max_length=96).diagnostics[0]
    assert (error.code, error.message) == (
        "empty-dataset",
        "no row can be learned from: of each, its prompt alone fills `max_length`",
    )


@pytest.mark.slow
def test_it_is_measured_on_the_eval_input(tmp_path: Path) -> None:
    training = training_in(tmp_path, PREFERENCES, eval_rows=PREFERENCES[:2])
    Dpo().run(options_of("dpo", **PREFERENCE_TEXTS, **LARGE_STEPS), training)
    assert facts_of(training)["eval_loss"] < LN2


@pytest.mark.slow
def test_options_that_exclude_each_other(tmp_path: Path) -> None:
    error = refusal("dpo", tmp_path, PREFERENCES, **PREFERENCE_TEXTS, peft=LORA, sync_ref_model=True)
    assert error.diagnostics[0].code == "refused-options"
