"""`train grpo` and `ppo` through the command line: what a reward is, is an ingredient of the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.small_model import small_model

DREAMFILE = """
rule all:
    input: "models/terse"

rule pairs:
    output: "data/pairs"
    rows: [
        {"animal": "cat", "good": "It purrs.", "bad": "It is an animal with many properties."},
        {"animal": "owl", "good": "It hoots.", "bad": "It is an animal with many properties, too."},
    ]

rule judge:
    input: "data/pairs"
    output: "models/judge"
    train reward:
        base: "models/small"
        prompt: "Tell me about the {{ animal }}."
        chosen: "{{ good }}"
        rejected: "{{ bad }}"
        peft: lora(r=4)
        max_steps: 1

rule terse:
    input:
        train: "data/pairs"
        reward: "models/judge"
    output: "models/terse"
    train ppo:
        base: "models/small"
        prompt: "Tell me about the {{ animal }}."
        reward: "rewards.py:brief"
        reward_model: input.reward
        reward_weights: [1, 0.5]
        per_device_train_batch_size: 2
        max_completion_length: 6
        num_ppo_epochs: 1
        peft: lora(r=4)
        logging_steps: 1
        max_steps: 1
"""
REWARDS = """
LIMIT = 20

def brief(completion, animal):
    return -min(len(completion), LIMIT) / 10
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path).write(DREAMFILE)
    made.file("rewards.py", REWARDS)
    (tmp_path / "models").mkdir()
    return made


def test_a_reward_function_that_is_not_there_is_found_in_the_dry_run(project: Project) -> None:
    project.edit("rewards.py:brief", "rewards.py:breif")
    result = project.run("--dry-run")
    assert result.code == 2
    assert "error[no-such-function]: `rewards.py` has no function `breif`" in result.err
    assert "Dreamfile:31:17" in result.err
    assert "did you mean `brief`?" in result.err


@pytest.mark.parametrize(
    ("parameters", "hint"),
    [
        ("completion, aminal", "did you mean `animal`?"),
        ("completion, prompts", "did you mean `prompt`?"),
        ("completions, row", "known here: animal, bad, completions, good, prompts"),
    ],
)
def test_what_a_reward_function_cannot_be_given_is_found_in_the_dry_run(
    project: Project, parameters: str, hint: str
) -> None:
    project.edit("completion, animal", parameters, "rewards.py")
    result = project.run("--dry-run")
    assert result.code == 2
    name = parameters.split(", ")[1]
    assert f"`rewards.py:brief` has the parameter `{name}`, which is no column of the rows" in result.err
    assert "Dreamfile:31:17" in result.err
    assert hint in result.err


@pytest.mark.parametrize("parameters", ["completions, animal, bonus=1", "row, *, prompt, good", "*args, **more"])
def test_what_a_reward_function_may_take(project: Project, parameters: str) -> None:
    project.edit("completion, animal", parameters, "rewards.py")
    project.ok("--dry-run")


def test_a_model_that_cannot_be_cut_is_known_before_anything_runs(project: Project) -> None:
    project.edit("num_ppo_epochs: 1", 'num_ppo_epochs: 1\n        strategy: "fsdp"')
    result = project.run("--dry-run")
    assert result.code == 2
    assert "error[refused-options]: `strategy`: `train ppo` cannot cut its model into parts" in result.err
    project.edit('"fsdp"', '"ddp"')
    project.ok("--dry-run")


def test_a_reward_that_a_wildcard_decides_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        rule all:
            input: "models/a"

        rule model:
            output: "models/{name}"
            rows: [{"animal": "cat"}]
            train grpo:
                base: "smollm2"
                prompt: "{{ animal }}"
                reward: f"{name}.py:brief"
        """)
    result = project.run("--dry-run")
    assert result.code == 2
    assert "error[wrong-type]: `reward` is the same for every job of the rule, so it reads no wildcard" in result.err


@pytest.mark.slow
def test_a_policy_learns_from_a_function_and_a_reward_model(project: Project) -> None:
    (project.root / "models/small").symlink_to(small_model())
    assert project.built() == ["data/pairs", "models/judge", "models/terse"]
    facts = json.loads((project.root / "models/terse/training.json").read_text())
    log = json.loads((project.root / "models/terse/training_log.jsonl").read_text().splitlines()[0])
    total = log["rewards/brief/mean"] + log["rewards/judge/mean"] / 2
    assert facts["reward"] == pytest.approx(total, rel=1e-4)
    assert project.built() == []
    project.edit("LIMIT = 20", "LIMIT = 10", "rewards.py")
    (reason,) = project.reasons("models/terse")
    assert reason["where"] == "function rewards.py:LIMIT"
    project.edit("LIMIT = 10", "LIMIT = 20  # characters", "rewards.py")
    assert project.built() == []
