"""Rewards: functions of a real file called with real rows, and real reward models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import OptionSet, Wrong
from dreammake.core.values import Template
from dreammake.trainers._online.prompts import Prompts
from dreammake.trainers._online.rewards import FunctionReward, Reward, Values, check_rewards, combined, names_of
from dreammake.trainers._online.rollouts import PromptOrder
from dreammake.trainers.grpo import Grpo
from tests.support.training import Training, rows_of

ROWS = [{"question": "1 + 1?", "answer": "2"}, {"question": "2 + 2?", "answer": "4"}]
COLUMNS = ("question", "answer")
DECLARED = Grpo.Options.declared()


def grpo(**given: Any) -> OptionSet:
    values = {"base": "models/small", "prompt": Template("{{ question }}")} | given
    return Grpo.Options({name: DECLARED[name].check(value) for name, value in values.items()})


def reward_in(folder: Path, code: str, columns: tuple[str, ...] = COLUMNS) -> tuple[FunctionReward, Training]:
    (folder / "rewards.py").write_text(code)
    training = Training(rows_of([]), None, folder / "model", folder / "checkpoints", "none")
    return FunctionReward("rewards.py:score", columns, training), training


def rewarded(folder: Path, code: str, completions: tuple[str, ...] = ("it is 2", "it is 5")) -> Values:
    reward, _ = reward_in(folder, code)
    prompts = Prompts(grpo(system=Template("Be brief.")), rows_of(ROWS))
    return reward([prompts[0], prompts[1]], completions)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def score(completion): return len(completion)", [7.0, 7.0]),
        ("def score(completion, answer): return answer in completion", [1.0, 0.0]),
        ("def score(completion, row): return row['answer'] in completion", [1.0, 0.0]),
        ("def score(completion, answer, bonus=3): return bonus if answer in completion else None", [3.0, None]),
        ("def score(prompt, completion): return float(prompt[0])", [1.0, 2.0]),
        ("def score(completion, **row): return len(row['answer']) + len(row['question'])", [7.0, 7.0]),
        ("def score(completions): return [len(one) for one in completions]", [7.0, 7.0]),
        (
            "def score(prompts, completions, answer, **rest):\n"
            "    return (a in c and p.startswith(a) is False for p, c, a in zip(prompts, completions, answer))",
            [1.0, 0.0],
        ),
        ("import numpy\ndef score(completions): return numpy.array([0.5, 2])", [0.5, 2.0]),
        ("import torch\ndef score(completion): return torch.tensor(1.5)", [1.5, 1.5]),
    ],
)
def test_a_function_takes_what_it_names(tmp_path: Path, code: str, expected: Values) -> None:
    assert rewarded(tmp_path, code) == expected


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def score(completion): return 'good'", '`rewards.py:score` gave the text "good" for row 1'),
        ("def score(completion): return [1]", "gave a list of 1 for row 1; a reward is a number or None"),
        ("def score(completion): return float('nan')", "gave nan for row 1; a reward is a finite number or None"),
        ("def score(completions): return [1, 'x']", 'gave the text "x" for row 2'),
        ("def score(completions): return [1]", "gave 1 rewards for 2 completions"),
        ("def score(completions): return 1", "gave 1, not a list of rewards"),
        ("def score(completion): return 1 / 0", "failed: ZeroDivisionError: division by zero (rewards.py:1)"),
        ("def score(completions):\n    yield 1\n    yield 1 / 0", "failed: ZeroDivisionError"),
    ],
)
def test_what_is_no_reward_is_said_with_its_row(tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(DreamError) as error:
        rewarded(tmp_path, code)
    assert (error.value.diagnostics[0].code, error.value.exit_code) == ("python-failed", 1)
    assert message in error.value.diagnostics[0].message


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("def score(completion, anwser): ...", "the parameter `anwser`, which is no column", "did you mean `answer`?"),
        ("def score(text): ...", "the parameter `text`", "known here: answer, completion, prompt, question, row"),
        (
            "def score(completions, row): ...",
            "the parameter `row`",
            "known here: answer, completions, prompts, question",
        ),
    ],
)
def test_a_parameter_that_is_no_column_is_found_before_the_training(
    tmp_path: Path, code: str, message: str, hint: str
) -> None:
    with pytest.raises(DreamError) as error:
        reward_in(tmp_path, code)
    found = error.value.diagnostics[0]
    assert found.code == "unknown-column"
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({}, "missing-option", "`train grpo` has no reward to learn from"),
        ({"reward": "a.py:f", "reward_weights": [1, 2]}, "out-of-range", "has 2 numbers, and there is 1 reward"),
        ({"reward": ["a.py:f", "b.py:g"], "reward_weights": [1]}, "out-of-range", "1 numbers, and there are 2 rewards"),
        ({"reward": "a.py:f", "reward_weights": ["much"]}, "wrong-type", "takes a list of numbers"),
    ],
)
def test_rewards_are_checked_before_anything_runs(given: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(Wrong) as wrong:
        check_rewards("grpo", grpo(**given))
    assert wrong.value.code == code
    assert message in wrong.value.message


def test_a_function_and_a_model_are_two_rewards() -> None:
    check_rewards("grpo", grpo(reward="a.py:f", reward_model="models/reward", reward_weights=[1, 0.5]))


def test_a_reward_is_named_as_file_and_function() -> None:
    with pytest.raises(Wrong) as wrong:
        grpo(reward="rewards.py")
    assert wrong.value.message == "`rewards.py` is no function"


def test_rewards_are_added_by_their_weights() -> None:
    assert combined([[1.0, None, 3.0], [10.0, 20.0, None]], None) == [11.0, 20.0, 3.0]
    assert combined([[1.0, None], [10.0, None]], [2, 0.5]) == [7.0, 0]


def test_rewards_of_one_name_are_told_apart(tmp_path: Path) -> None:
    rewards: list[Reward] = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        rewards.append(reward_in(tmp_path / name, "def score(completion): return 1")[0])
    assert names_of(rewards) == ["score", "score_2", "score_3"]


def test_prompts_are_found_by_number_in_every_batch() -> None:
    rows = [{"question": str(number), "answer": ""} for number in range(2500)]
    prompts = Prompts(grpo(), rows_of(rows))
    assert len(prompts) == 2500
    assert [prompts[number].text for number in (0, 999, 1000, 2499)] == ["0", "999", "1000", "2499"]
    assert [prompt.number for prompt in prompts] == list(range(2500))


def test_the_order_of_prompts_changes_with_the_epoch_and_not_with_where_it_begins() -> None:
    order = PromptOrder(5, 2, 3, seed=1, times=2)
    first = list(order)
    assert len(first) == len(order) == 2 * 2 * 3 * 2
    assert first[:4] == first[4:8] == first[8:12]
    order.set_epoch(1)
    second = list(order)
    assert second != first
    begun_there = PromptOrder(5, 2, 3, seed=1, times=2)
    begun_there.set_epoch(1)
    assert list(begun_there) == second
    assert list(PromptOrder(4, 2, 1, seed=1, shuffle=False)) == [0, 1, 2, 3]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with reward models on the small model: whole, as an adapter, and one with two labels."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    from tests.support.small_model import small_model

    folder = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(small_model())
    set_seed(1)
    for name, labels in (("one", 1), ("two", 2)):
        model = AutoModelForSequenceClassification.from_pretrained(small_model(), num_labels=labels)
        model.config.pad_token_id = tokenizer.pad_token_id
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    whole = AutoModelForSequenceClassification.from_pretrained(small_model(), num_labels=1)
    get_peft_model(whole, LoraConfig(task_type="SEQ_CLS")).save_pretrained(folder / "adapter")
    tokenizer.save_pretrained(folder / "adapter")
    return folder


def model_reward(folder: Path, name: str) -> Any:
    from dreammake.trainers._online.reward_model import ModelReward

    training = Training(rows_of([]), None, folder / "model", folder / "checkpoints", "none")
    return ModelReward(name, "float32", training)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one", "adapter"])
def test_a_reward_model_scores_the_chat_whatever_stands_beside_it(models: Path, name: str) -> None:
    import torch
    from peft import AutoPeftModelForSequenceClassification
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    prompts = Prompts(grpo(system=Template("Be brief.")), rows_of(ROWS))
    reward = model_reward(models, name)
    made = reward([prompts[0], prompts[1], prompts[0]], ["2", "it is four, I am quite sure of that", "3"])
    kind = AutoPeftModelForSequenceClassification if name == "adapter" else AutoModelForSequenceClassification
    model = kind.from_pretrained(models / name, num_labels=1).eval()
    tokenizer = AutoTokenizer.from_pretrained(models / name)
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
    ]
    with torch.no_grad():
        ids = torch.tensor([tokenizer.apply_chat_template(chat, return_dict=False)])
        expected = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.item()
    assert made[0] == pytest.approx(expected, abs=1e-4)
    assert len(set(made)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("two", "wrong-reward-model", "the reward model two has 2 labels, and a reward is one number"),
        ("causal", "wrong-reward-model", "the reward model causal is no reward model: it is a LlamaForCausalLM"),
        ("nothing/here", "no-such-model", "the reward model nothing/here cannot be opened"),
    ],
)
def test_what_is_no_reward_model_is_refused(models: Path, name: str, code: str, message: str) -> None:
    from tests.support.small_model import small_model

    if not (models / "causal").exists():
        (models / "causal").symlink_to(small_model())
    with pytest.raises(DreamError) as error:
        model_reward(models, name)
    assert error.value.diagnostics[0].code == code
    assert message in error.value.diagnostics[0].message
