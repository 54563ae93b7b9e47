"""What the online methods share: a model writes completions, rewards judge them, and it learns from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dreammake.core.diagnostic import fail
from dreammake.core.judgement import Scale
from dreammake.core.options import Functions, List, Model, OptionSet, Paths, Text
from dreammake.core.step import Columns
from dreammake.core.trainer import Size, Training
from dreammake.core.values import Template
from dreammake.trainers._online.completions import most_completions
from dreammake.trainers._online.judge import BESIDE
from dreammake.trainers._online.prompts import Prompts, dataset_of_prompts, room_for_prompt
from dreammake.trainers._online.rewards import FORMS, Reward, check_rewards, rewards_of
from dreammake.trainers._torch_trainer import TorchTrainer
from dreammake.trainers._tuning import Base, Rounds, Start, Tuning, check_tuning, finish, open_start

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

JUDGE_PROMPT = """\
How good is the response to the prompt? It should be true, and do what the prompt asks for, and nothing else.

Prompt:
{{ prompt }}

Response:
{{ completion }}"""

Config = TypeVar("Config", bound="TrainingArguments")


class Prompting(OptionSet):
    """The prompts, and what completions are worth."""

    prompt = Text("What the model is given; it writes the completions itself.")
    system = Text("The system prompt of each chat.", default=None)
    reward = Functions(
        "Functions that say what a completion is worth, as `file.py:function`. Each takes what it names: "
        "`completion`, `prompt`, `row` (a dict) and any column, and returns a number or None; or lists of them, where "
        "it names `completions` and `prompts`.",
        forms=FORMS,
        default=None,
    )
    reward_model = Paths(
        "Models that say it: targets of `train reward`, or any sequence classification model with one label.",
        default=None,
    )
    judge = Model(
        "A declared model that is asked for a score of each completion. An answer that holds no score, or several, is "
        "asked for again, and then no reward.",
        default=None,
    )
    judge_prompt = Text(
        "What the judge is asked, over the columns, `prompt` and `completion`. On which scale it scores, and how it is "
        "to answer, is added.",
        beside=BESIDE,
        default=Template(JUDGE_PROMPT),
    )
    judge_scale = Scale(
        "The judge's lowest and highest score: told to it, and no other is read. None: any number.", default=[1, 10]
    )
    reward_weights = List(
        "How much each reward counts, the functions first, then the models, then the judge; None: each counts 1.",
        default=None,
    )


class OnlineOptions(Rounds, Tuning, Prompting, Base):
    """The base model, the prompts, the rewards, and what is trained."""


class OnlineTrainer(TorchTrainer):
    """A method is one of these, and has `learner`."""

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        super().needs(options, have)
        method = cls.__name__.lower()
        check_rewards(method, options)
        check_tuning(method, options)

    @classmethod
    def judged(cls, options: OptionSet, size: Size) -> int | None:
        return most_completions(options, size)

    def train(self, options: Any, training: Training) -> None:
        prompts = {"train": Prompts(options, training.train)}
        if training.eval is not None:
            prompts["eval"] = Prompts(options, training.eval)
        rewards = rewards_of(options, training.train.columns, training)
        start = open_start(options, training)
        room = room_for_prompt(start.model.config, options["max_completion_length"])
        data = {name: dataset_of_prompts(made, start.tokenizer, room, training, name) for name, made in prompts.items()}
        left_out = len(prompts["train"]) - len(data["train"])
        if left_out:
            training.say(
                f"{left_out} of {len(prompts['train'])} rows are left out: their prompt leaves no room to answer"
            )
        trainer = self.learner(options, training, Task(start, prompts, data, rewards))
        facts = {"rows": len(data["train"]), "rows_left_out": left_out}
        finish(trainer, start, type(self).__name__.lower(), options, training, facts)

    def learner(self, options: Any, training: Training, task: Task) -> Trainer:
        """The library's trainer, ready to run."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned: by which model, on which prompts, for which rewards. Names of datasets: `train`, `eval`."""

    start: Start
    prompts: Mapping[str, Prompts]
    data: Mapping[str, Dataset]
    rewards: Sequence[Reward]


def check_batch(needed: int, rows: int, also: str) -> None:
    """Raises DreamError where there are too few prompts for one batch: nothing would be learned, and nothing said."""
    if rows < needed:
        fail(
            "too-few-rows",
            f"there {'is 1 prompt' if rows == 1 else f'are {rows} prompts'}, and one batch is of {needed}",
            hint=f"lower `per_device_train_batch_size`, `gradient_accumulation_steps` or {also}, or make more rows",
            exit_code=1,
        )


def judged_by_reward(config: Config) -> Config:
    """The best model is the one with the highest reward, unless another measure is named."""
    if config.metric_for_best_model in (None, "loss"):
        config.metric_for_best_model, config.greater_is_better = "reward", True
    return config
