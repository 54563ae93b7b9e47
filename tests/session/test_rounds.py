"""Rounds in which a model improves itself, written with one wildcard (LANGUAGE.md, Example 4)."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.small_model import small_model

DREAMFILE = """
    config:
        base: "models/small"
        rounds: 3

    model policy: config.base
        engine: "transformers"
        temperature: 1.0
        max_tokens: 6

    rule all:
        input: f"models/round{config.rounds}"

    rule prompts:
        output: "data/prompts"
        rows: [{"question": f"Say {n}."} for n in range(6)]

    rule share:
        input: "data/prompts"
        output: "data/round{r:int}/prompts"
        shard: r - 1
            of: config.rounds

    rule candidates:
        input:
            prompts: "data/round{r}/prompts"
            adapter: "models/round{r - 1}" if r > 1 else None
        output: "data/round{r:int}/candidates"
        prompt a:
            model: policy(adapter=input.adapter)
            prompt: "{{ question }}"
            seed: 0
        prompt b:
            model: policy(adapter=input.adapter)
            prompt: "{{ question }}"
            seed: 1

    rule preferences:
        input: "data/round{r}/candidates"
        output: "data/round{r:int}/preferences"
        map chosen: a if len(a) <= len(b) else b
        map rejected: b if len(a) <= len(b) else a

    rule align:
        input:
            train: "data/round{r}/preferences"
            adapter: "models/round{r - 1}" if r > 1 else None
        output: "models/round{r:int}"
        train dpo:
            base: config.base
            adapter: input.adapter
            prompt: "{{ question }}"
            chosen: "{{ chosen }}"
            rejected: "{{ rejected }}"
            peft: lora(r=4)
            learning_rate: 0.01
            logging_steps: 1
            max_steps: 2
"""


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("rounds")).write(DREAMFILE)
    (project.root / "models").mkdir()
    (project.root / "models/small").symlink_to(small_model())
    project.ok("all")
    return project


def adapter(project: Project, number: int) -> Path:
    return project.root / f"models/round{number}"


@pytest.mark.slow
def test_every_round_begins_with_the_adapter_of_the_one_before(rounds: Project) -> None:
    weights = {adapter(rounds, number).joinpath("adapter_model.safetensors").read_bytes() for number in (1, 2, 3)}
    assert len(weights) == 3, "each round learned"
    for number, before in ((1, None), (2, "models/round1"), (3, "models/round2")):
        facts = json.loads((adapter(rounds, number) / "training.json").read_text())
        assert facts["options"]["adapter"] == before
        log = (adapter(rounds, number) / "training_log.jsonl").read_text().splitlines()
        first = json.loads(log[0])["loss"]
        assert first == pytest.approx(math.log(2), rel=1e-4), "the reference is the model that the round begins with"
        named = json.loads((adapter(rounds, number) / "adapter_config.json").read_text())["base_model_name_or_path"]
        assert named == "models/small", "an adapter is always one on the base, whatever round it is of"


@pytest.mark.slow
def test_the_candidates_are_two_and_come_from_the_model_of_the_round(rounds: Project) -> None:
    rows = [row for number in (1, 2, 3) for row in rounds.rows(f"data/round{number}/candidates")]
    assert sorted(row["question"] for row in rows) == [f"Say {n}." for n in range(6)]
    assert any(row["a"] != row["b"] for row in rows)


@pytest.mark.slow
def test_a_second_build_does_nothing(rounds: Project) -> None:
    assert rounds.built("all") == []


@pytest.mark.slow
def test_a_change_of_the_last_round_rebuilds_that_one_only(rounds: Project) -> None:
    (rounds.root / "models/round3/training.json").write_text("{}")
    planned = rounds.plan("all")
    assert [target for target, action in planned.items() if action == "build"] == ["models/round3"]
