"""Rewards: what a completion is worth, by functions of the user's, by reward models, and by a judge.

A function takes what it names. In its row form, the `completion` of one row, and any of `prompt`, `row` (a dict of
all columns) and the columns; it returns a number, or None where it has nothing to say. In its batch form, which has a
parameter `completions`, it takes lists: `prompts`, `completions`, and the columns; it returns a list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, SupportsFloat

from dreammake.core.diagnostic import fail
from dreammake.core.options import OptionSet, Wrong, describe
from dreammake.core.spelling import did_you_mean
from dreammake.core.trainer import Training
from dreammake.core.user_function import UserFunction
from dreammake.trainers._online.prompts import Prompt

FORMS = (("completions", "prompts"), ("completion", "prompt", "row"))
"""What a function may take beside the columns: for a batch, and for a row."""
Values = list[float | None]
"""A reward for each completion; None where there is none."""


class Reward(Protocol):
    """One kind of reward: a name for measures, and the values of completions."""

    name: str

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Values: ...


class FunctionReward:
    """The reward that a function of the user's gives. Raises DreamError where the function cannot be called so."""

    def __init__(self, reference: str, columns: Sequence[str], training: Training) -> None:
        self._function = UserFunction(reference, training.path("."), training.say)
        self.name = self._function.name
        self._batch = "completions" in self._function.parameters
        own = FORMS[0] if self._batch else FORMS[1]
        known = [*own, *(column for column in columns if column not in own)]
        for parameter in self._function.required:
            if parameter not in known:
                fail(
                    "unknown-column",
                    f"`{reference}` has the parameter `{parameter}`, which is no column of the rows",
                    hint=did_you_mean(parameter, known),
                    exit_code=1,
                )
        any_name = self._function.takes_any_name
        self._taken = known if any_name else [name for name in known if name in self._function.parameters]

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Values:
        if not self._batch:
            return [self._of_row(prompt, text) for prompt, text in zip(prompts, completions, strict=True)]
        given = {
            "prompts": [prompt.text for prompt in prompts],
            "completions": list(completions),
        }
        taken = {name: given.get(name) or [prompt.row[name] for prompt in prompts] for name in self._taken}
        made = self._function(**taken)
        if isinstance(made, str) or not hasattr(made, "__iter__"):
            self._function.wrong(f"gave {describe(made)}, not a list of rewards")
        values = list(self._function.items(made))
        if len(values) != len(completions):
            self._function.wrong(f"gave {len(values)} rewards for {len(completions)} completions")
        return [self._checked(value, prompt) for value, prompt in zip(values, prompts, strict=True)]

    def _of_row(self, prompt: Prompt, completion: str) -> float | None:
        given = {**prompt.row, "prompt": prompt.text, "completion": completion, "row": prompt.row}
        return self._checked(self._function(**{name: given[name] for name in self._taken}), prompt)

    def _checked(self, value: Any, prompt: Prompt) -> float | None:
        """The reward as a number: what Python or a library of arrays calls one."""
        if value is None:
            return None
        if isinstance(value, str | bytes) or not isinstance(value, SupportsFloat):
            self._function.wrong(f"gave {describe(value)} for row {prompt.number + 1}; a reward is a number or None")
        with self._function.guarded():
            number = float(value)
        if not math.isfinite(number):
            self._function.wrong(f"gave {number} for row {prompt.number + 1}; a reward is a finite number or None")
        return number


def check_rewards(method: str, options: OptionSet) -> None:
    """Is there a reward, and a weight for each? Raises Wrong."""
    count = len(options["reward"] or ()) + len(options["reward_model"] or ()) + (options["judge"] is not None)
    if options["judge"] is None:
        _check_without_judge(options)
    if not count:
        hint = 'say `reward: "rewards.py:function"`, `reward_model: input.reward`, or `judge:` with a model'
        raise Wrong(f"`train {method}` has no reward to learn from", hint, "missing-option")
    weights = options["reward_weights"]
    if weights is None:
        return
    if not all(isinstance(weight, int | float) and not isinstance(weight, bool) for weight in weights):
        raise Wrong("`reward_weights` takes a list of numbers")
    if len(weights) != count:
        said = f"`reward_weights` has {len(weights)} numbers, and there {'is' if count == 1 else 'are'} {count} reward"
        hint = "give one for each: the functions of `reward` first, then the models of `reward_model`, then the `judge`"
        raise Wrong(said + ("" if count == 1 else "s"), hint, "out-of-range")


def _check_without_judge(options: OptionSet) -> None:
    for name in ("judge_prompt", "judge_scale"):
        if options[name] != options.declared()[name].default:
            raise Wrong(f"`{name}` says how a judge is asked, and there is none", "add `judge:`", "missing-option")


def rewards_of(options: OptionSet, columns: Sequence[str], training: Training) -> list[Reward]:
    """The functions, then the models, then the judge, each ready to be called."""
    from dreammake.trainers._online.judge import JudgeReward
    from dreammake.trainers._online.reward_model import ModelReward

    rewards: list[Reward] = [FunctionReward(one, columns, training) for one in options["reward"] or ()]
    rewards += [ModelReward(path, options["dtype"], training) for path in options["reward_model"] or ()]
    return rewards if options["judge"] is None else [*rewards, JudgeReward(options, columns, training)]


def combined(values: Sequence[Values], weights: Sequence[float] | None) -> list[float]:
    """The weighted sum of the rewards of each completion; what is None adds nothing."""
    weights = [1.0] * len(values) if weights is None else weights
    return [
        sum(weight * value for weight, value in zip(weights, each, strict=True) if value is not None)
        for each in zip(*values, strict=True)
    ]


def names_of(rewards: Iterable[Reward]) -> list[str]:
    """The names for measures: the second of one name is `name_2`."""
    names: list[str] = []
    for reward in rewards:
        again = sum(name.rpartition("_")[0] == reward.name or name == reward.name for name in names)
        names.append(f"{reward.name}_{again + 1}" if again else reward.name)
    return names
