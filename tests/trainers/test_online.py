"""`train grpo`, `rloo` and `ppo`: real trainings of a small real model by real reward functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError
from dreammake.core.options import OptionSet
from dreammake.core.values import Function, Template
from tests.support.training import LORA, PAIRS, Training, digests, training_in

METHODS = ("grpo", "rloo", "ppo")
REWARDS = """
def letters(completion):
    return sum(one.isalpha() for one in completion) / max(len(completion), 1)

def like_the_answer(completion, answer):
    return len(set(completion) & set(answer))

def text(completion):
    return "good"
"""
pytestmark = pytest.mark.slow


def options_of(method: str, **given: Any) -> OptionSet:
    """Checked options: few, short completions, unless something else is given."""
    kind = Catalog().find("trainers", method)
    values: dict[str, Any] = {
        "base": "models/small",
        "prompt": Template("{{ question }}"),
        "reward": "rewards.py:letters",
        "max_steps": 4,
        "logging_steps": 1,
        "per_device_train_batch_size": 4,
        "max_completion_length": 6,
        "gradient_checkpointing": False,
        "learning_rate": 0.01,
    } | ({} if method == "ppo" else {"num_generations": 2})
    declared = kind.Options.declared()
    checked = {name: declared[name].check(value) for name, value in (values | given).items()}
    return kind.Options(checked)  # type: ignore[no-any-return]


def prepared(folder: Path, **more: Any) -> Training:
    made = training_in(folder, **more)
    (folder / "rewards.py").write_text(REWARDS)
    return made


def trained(method: str, folder: Path, *, eval_rows: list[dict[str, Any]] | None = None, **given: Any) -> Training:
    training = prepared(folder, eval_rows=eval_rows)
    run(method, training, **given)
    return training


def run(method: str, training: Training, **given: Any) -> None:
    Catalog().find("trainers", method)().run(options_of(method, **given), training)


def log_of(training: Training) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (training.folder / "training_log.jsonl").read_text().splitlines()]


def facts_of(training: Training) -> dict[str, Any]:
    return json.loads((training.folder / "training.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("grpo", {"num_generations": 8, "max_steps": 6}),
        ("rloo", {"num_generations": 8, "max_steps": 6, "beta": 0.0}),
        ("ppo", {"num_ppo_epochs": 4, "max_steps": 20, "kl_coef": 0.0, "learning_rate": 0.004}),
    ],
)
def test_the_mean_reward_rises(method: str, given: dict[str, Any], tmp_path: Path) -> None:
    common = {"per_device_train_batch_size": 8, "lr_scheduler_type": "constant", "learning_rate": 0.002}
    strong = Function("lora", (), {"r": 8, "lora_alpha": 64})  # small steps: the value head must not jump
    training = trained(method, tmp_path, peft=strong, **(common | given))
    rewards = [entry["reward"] for entry in log_of(training) if "reward" in entry]
    assert sum(rewards[-2:]) / 2 > sum(rewards[:2]) / 2 + 0.1
    assert facts_of(training)["reward"] == rewards[-1]
    assert training.steps[-1][2]["reward"] in rewards


@pytest.mark.parametrize(
    ("method", "given", "stop_at"),
    [
        ("grpo", {"peft": LORA, "num_iterations": 2}, 3),
        ("rloo", {"peft": LORA, "beta": 0.1, "gradient_accumulation_steps": 2}, 3),
        ("ppo", {"peft": LORA, "num_ppo_epochs": 2, "num_mini_batches": 2, "kl_target": 1.0}, 3),
        ("ppo", {"num_ppo_epochs": 2}, 3),
    ],
)
def test_an_interrupted_training_ends_as_one_that_was_not(
    method: str, given: dict[str, Any], stop_at: int, tmp_path: Path
) -> None:
    """With it: equal inputs give equal bytes. The second epoch begins before the interruption."""
    rows = PAIRS[:8] if "num_mini_batches" in given else PAIRS[:4]
    whole = prepared(tmp_path / "whole", rows=rows)
    run(method, whole, **given)
    killed = prepared(tmp_path / "killed", rows=rows)
    killed.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        run(method, killed, save_steps=1, **given)
    again = prepared(tmp_path / "killed", rows=rows)
    run(method, again, save_steps=1, **given)
    assert again.steps[0][0] == stop_at
    assert digests(again.folder) == digests(whole.folder)


@pytest.mark.parametrize("method", METHODS)
def test_rewards_are_measured_on_the_eval_input(method: str, tmp_path: Path) -> None:
    training = trained(
        method,
        tmp_path,
        eval_rows=PAIRS[:4],
        reward=["rewards.py:letters", "rewards.py:like_the_answer"],
        reward_weights=[1, 0.5],
        eval_strategy="steps",
        eval_steps=2,
        per_device_eval_batch_size=4,
        max_steps=2,
        peft=LORA,
    )
    measured = [entry for entry in log_of(training) if "eval_reward" in entry]
    assert len(measured) == 1
    parts = [measured[0][f"eval_rewards/{name}/mean"] for name in ("letters", "like_the_answer")]
    assert measured[0]["eval_reward"] == pytest.approx(parts[0] + parts[1] / 2, rel=1e-4)
    assert facts_of(training)["eval_reward"] == measured[0]["eval_reward"]


@pytest.mark.parametrize("method", METHODS)
def test_all_weights_learn_from_an_earlier_round(method: str, tmp_path: Path) -> None:
    """The KL penalty compares with the base with its adapter, and not with the base alone."""
    from transformers import AutoModelForCausalLM

    earlier = trained(method, tmp_path, peft=LORA, max_steps=2, learning_rate=0.05)
    earlier.folder.rename(tmp_path / "round1")
    training = prepared(tmp_path)
    kl = {"kl_coef": 0.1} if method == "ppo" else {"beta": 0.1}
    run(method, training, adapter="round1", max_steps=1, **kl)
    assert [entry["kl"] for entry in log_of(training)] == [pytest.approx(0, abs=1e-3)]
    model = AutoModelForCausalLM.from_pretrained(training.folder)
    assert not [name for name, _ in model.named_parameters() if "value" in name or "lora" in name]
    assert not (training.folder / "reference").exists()
    config = json.loads((training.folder / "config.json").read_text())
    assert str(tmp_path) not in json.dumps(config)


def test_ppo_on_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both write completions and learn from all of them: the batch is twice as large."""
    from transformers import AutoModelForCausalLM

    monkeypatch.setenv("DREAMMAKE_CPU_RANKS", "2")
    training = trained("ppo", tmp_path, per_device_train_batch_size=2, max_steps=2, num_ppo_epochs=2)
    first, second = log_of(training)
    assert (facts_of(training)["steps"], second["epoch"]) == (2, 0.25)
    assert first["policy_loss"] == pytest.approx(0, abs=1e-5), "the advantages of all completions have the mean 0"
    assert second["policy_loss"] < first["policy_loss"]
    AutoModelForCausalLM.from_pretrained(training.folder)


def test_a_prompt_without_room_for_an_answer_is_an_error_row(tmp_path: Path) -> None:
    rows = [*PAIRS, {"question": "why " * 9000, "answer": "Because."}]
    training = prepared(tmp_path, rows=rows)
    run("grpo", training, peft=LORA, max_steps=1)
    assert [(error.row, error.code) for error in training.errors] == [(16, "context-overflow")]
    assert facts_of(training)["rows_left_out"] == 1


@pytest.mark.parametrize(
    ("method", "given", "code", "message"),
    [
        ("grpo", {"per_device_train_batch_size": 64}, "too-few-rows", "there are 16 prompts, and one batch is of 32"),
        ("ppo", {"num_mini_batches": 5}, "too-few-rows", "there are 16 prompts, and one batch is of 20"),
        ("rloo", {"per_device_train_batch_size": 3}, "refused-options", "must be divisible by num_generations"),
        ("ppo", {"reward": "rewards.py:text"}, "python-failed", 'gave the text "good" for row'),
        ("grpo", {"reward": "rewards.py:leters"}, "no-such-function", "`rewards.py` has no function `leters`"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_words(
    method: str, given: dict[str, Any], code: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DreamError) as error:
        trained(method, tmp_path, peft=LORA, **given)
    assert error.value.diagnostics[0].code == code
    assert message in error.value.diagnostics[0].message
