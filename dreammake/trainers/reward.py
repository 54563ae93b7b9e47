"""Reward models with TRL's RewardTrainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dreammake.core.options import OptionSet, Wrong
from dreammake.core.step import Columns
from dreammake.core.trainer import Training
from dreammake.trainers import _quantized, _trl
from dreammake.trainers._examples import Row, renderer
from dreammake.trainers._options import with_trl_options
from dreammake.trainers._preference import Data, Example, Pairs, PreferenceTrainer, pair_of
from dreammake.trainers._tuning import Base, Start, Tuning

if TYPE_CHECKING:
    from transformers import Trainer


class RewardOptions(Tuning, Pairs, Base):
    """The data, the base model, and what is saved; then all options of TRL's RewardConfig."""


class Reward(PreferenceTrainer):
    """Trains a reward model: it reads a prompt with an answer, and gives one number, higher for a better answer.

    Each row is a better and a worse text (`chosen`, `rejected`): two answers to a `prompt`, or, without one, two
    whole texts. With a prompt, and where the base model has a chat template, they become the messages of a user and
    an assistant. Every option of TRL's RewardConfig is taken by its name there.

    The result is a folder of a sequence classification model with one label, which `reward_model` of `grpo`, `rloo`
    and `ppo` takes. With `peft: lora(...)` it is an adapter, which names its base model and holds the layer that
    scores; `merge: True` makes a whole model of it. Beside the weights are `training.json` (the loss, the steps, every
    resolved option) and `training_log.jsonl` (with the accuracy). Equal inputs give equal bytes on one kind of machine.
    """

    head = "score"
    data_options = ("chosen", "rejected")
    too_long = "with an answer it is longer than `max_length`"
    Options = with_trl_options("reward", RewardOptions)
    paper = "TrainHFRewardModel"
    example = """
rule pairs:
    output: "data/pairs"
    rows: [
        {"question": "2 + 2?", "good": "4", "bad": "5"},
        {"question": "3 + 3?", "good": "6", "bad": "7"},
    ]

rule judge:
    input: "data/pairs"
    output: "models/judge"
    train reward:
        base: "smollm2"
        prompt: "{{ question }}"
        chosen: "{{ good }}"
        rejected: "{{ bad }}"
        peft: lora(r=8)
        max_steps: 2
"""

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        super().needs(options, have)
        if options["system"] is not None and options["prompt"] is None:
            hint = 'add one: prompt: "{{ column }}"; or leave `system` out'
            raise Wrong("`train reward` has a `system` and no `prompt` that it belongs to", hint, "missing-option")

    def columns_for(self, options: Any) -> tuple[str, ...]:
        return self.columns if options.prompt is not None else ("chosen", "rejected")

    def example_of(self, options: Any, columns: Columns, *, has_chat: bool) -> Callable[[Row], Example]:
        if options.prompt is not None:
            return pair_of(options, columns, has_chat=has_chat)
        chosen, rejected = renderer(options.chosen, columns), renderer(options.rejected, columns)
        return lambda row: {"chosen": chosen(row), "rejected": rejected(row)}

    def trainer_of(self, start: Start, data: Data, options: Any, training: Training) -> Trainer:
        from trl import RewardConfig, RewardTrainer

        config = _trl.config_of(RewardConfig, "reward", options, training)
        trainer = _trl.checked(
            lambda: RewardTrainer(
                model=start.model,
                args=config,
                train_dataset=data.train,
                eval_dataset=data.eval,
                processing_class=start.tokenizer,
                peft_config=start.lora,
            )
        )
        if options.quantization is not None:
            _quantized.keep_scores_whole(trainer.model)
        return trainer
