"""A judge as a reward: what it is asked about a completion, how many it is asked about, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError
from dreammake.core.options import OptionSet, Wrong
from dreammake.core.trainer import Size
from dreammake.core.values import ModelSpec, Template
from dreammake.trainers._online.prompts import Prompts
from dreammake.trainers._online.rewards import check_rewards, names_of, rewards_of
from tests.support.server import LoopbackServer, prompt_of
from tests.support.training import Training, rows_of

ROWS = [{"question": "1 + 1?", "answer": "2"}, {"question": "2 + 2?", "answer": "4"}]
COLUMNS = ("question", "answer")


def options_of(method: str = "grpo", **given: Any) -> OptionSet:
    kind = Catalog().find("trainers", method)
    values = {"base": "models/small", "prompt": Template("What is {{ question }}")} | given
    declared = kind.Options.declared()
    return kind.Options({name: declared[name].check(value) for name, value in values.items()})  # type: ignore[no-any-return]


def critic(server: LoopbackServer | None = None) -> ModelSpec:
    return ModelSpec("critic", "some/critic", "api", {"base_url": server.base_url} if server else {})


def judged(folder: Path, completions: list[str], **given: Any) -> list[float | None]:
    training = Training(rows_of([]), None, folder / "model", folder / "checkpoints", "none")
    options = options_of(**given)
    (judge,) = rewards_of(options, COLUMNS, training)
    prompts = Prompts(options, rows_of(ROWS))
    return judge([prompts[0], prompts[1]], completions)


def test_the_judge_sees_prompt_and_completion(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: "8" if "It is 2." in prompt_of(body) else "Score: 2") as server:
        assert judged(tmp_path, ["It is 2.", "It is 5."], judge=critic(server)) == [8, 2]
    question = next(prompt for prompt in server.prompts if "It is 2." in prompt)
    assert "Prompt:\nWhat is 1 + 1?\n\nResponse:\nIt is 2." in question
    assert question.endswith("Answer with one number from 1 to 10, and with nothing else.")


def test_its_question_may_read_the_columns_and_name_another_scale(tmp_path: Path) -> None:
    text = Template("{{ completion }} for {{ prompt }}: right is {{ answer }}.")
    with LoopbackServer(lambda body: "0.5" if "4" in prompt_of(body) else "7") as server:
        found = judged(tmp_path, ["3", "5"], judge=critic(server), judge_prompt=text, judge_scale=[0, 1])
    assert found == [None, 0.5]
    closing = "\n\nAnswer with one number from 0 to 1, and with nothing else."
    assert {prompt.removesuffix(closing) for prompt in server.prompts} == {
        "3 for What is 1 + 1?: right is 2.",
        "5 for What is 2 + 2?: right is 4.",
    }


def test_a_question_that_fails_says_on_which_row(tmp_path: Path) -> None:
    with pytest.raises(DreamError) as error:
        judged(tmp_path, ["3", "5"], judge=critic(), judge_prompt=Template("{{ 1 / (prompt | length - 14) }}"))
    assert error.value.diagnostics[0].code == "row-error"
    assert "fails on row 0: division by zero" in error.value.diagnostics[0].message


def test_functions_models_and_the_judge_are_rewards_in_this_order(tmp_path: Path) -> None:
    (tmp_path / "rewards.py").write_text("def judge(completion): return 1")
    training = Training(rows_of([]), None, tmp_path / "model", tmp_path / "checkpoints", "none")
    options = options_of(judge=critic(), reward="rewards.py:judge", reward_weights=[1, 0.5])
    check_rewards("grpo", options)
    assert names_of(rewards_of(options, COLUMNS, training)) == ["judge", "judge_2"]


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"judge": critic(), "reward_weights": [1, 2]}, "out-of-range", "has 2 numbers, and there is 1 reward"),
        ({"reward": "a.py:f", "judge_scale": [1, 5]}, "missing-option", "`judge_scale` says how a judge is asked"),
        ({"reward": "a.py:f", "judge_prompt": Template("?")}, "missing-option", "`judge_prompt` says how a judge"),
        ({"judge": critic(), "judge_scale": [5, 1]}, "out-of-range", "`judge_scale` takes the lowest and the highest"),
        ({"judge": "critic"}, "wrong-type", "`judge` takes the name of a declared model"),
    ],
)
def test_what_goes_with_no_judge_is_refused(given: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(Wrong) as wrong:
        check_rewards("grpo", options_of(**given))
    assert wrong.value.code == code
    assert message in wrong.value.message


BATCH = {"per_device_train_batch_size": 8, "max_steps": 10}


@pytest.mark.parametrize(
    ("method", "given", "size", "most"),
    [
        ("grpo", BATCH, Size(None), 80),
        ("grpo", {**BATCH, "gradient_accumulation_steps": 4}, Size(None), 320),
        ("grpo", {**BATCH, "gradient_accumulation_steps": 4, "num_iterations": 3}, Size(None), 128),
        ("grpo", {**BATCH, "steps_per_generation": 4}, Size(None), 96),
        ("grpo", {**BATCH, "generation_batch_size": 64}, Size(None, processes=2), 192),
        ("grpo", BATCH, Size(None, processes=2), 160),
        ("rloo", {"num_generations": 4, "num_train_epochs": 2.5}, Size(100), 1200),
        ("rloo", {"num_generations": 4}, Size(None), None),
        ("ppo", {**BATCH, "num_ppo_epochs": 4, "num_mini_batches": 2}, Size(None), 32),
        ("ppo", {"num_train_epochs": 1}, Size(100, processes=2), 100),
        ("grpo", {"num_generations": 4, "num_train_epochs": 2}, Size(100, 10), 880),
        ("grpo", {"num_generations": 4, "num_train_epochs": 2, "eval_strategy": "no"}, Size(100, 10), 800),
        ("grpo", {**BATCH, "eval_strategy": "steps", "eval_steps": 5, "num_generations_eval": 1}, Size(9, 10), 100),
        ("grpo", {**BATCH, "eval_strategy": "epoch"}, Size(9, 10), None),
        ("grpo", BATCH, Size(None, None), None),
    ],
)
def test_the_most_completions_are_known_beforehand(
    method: str, given: dict[str, Any], size: Size, most: int | None
) -> None:
    options = options_of(method, judge=critic(), **given)
    assert Catalog().find("trainers", method).judged(options, size) == most
