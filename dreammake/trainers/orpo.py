"""Odds ratio preference optimization with TRL's ORPOTrainer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dreammake.core.trainer import Training
from dreammake.trainers import _trl
from dreammake.trainers._options import with_trl_options
from dreammake.trainers._preference import Data, Example, Pairs, PreferenceTrainer
from dreammake.trainers._tuning import Base, Rounds, Start, Tuning

if TYPE_CHECKING:
    from transformers import Trainer


class OrpoOptions(Rounds, Tuning, Pairs, Base):
    """The data, the base model, and what is saved; then all options of TRL's ORPOConfig."""


class Orpo(PreferenceTrainer):
    """Teaches a causal language model an answer, and at once to prefer it to another (odds ratio optimization).

    Each row is a prompt with a better and a worse answer (`chosen`, `rejected`). Where the base model has a chat
    template, they become the messages of a user and an assistant. There is no reference model: the loss is that of
    the better answer, and `beta` times how little its odds are above those of the worse one. Every option of TRL's
    ORPOConfig is taken by its name there.

    The result is a model folder; with `peft: lora(...)` it is an adapter, which names its base model, and `merge:
    True` makes a whole model of it. Beside the weights are `training.json` (the loss, the steps, every resolved
    option) and `training_log.jsonl`. Equal inputs give equal bytes on one kind of machine.
    """

    Options = with_trl_options("orpo", OrpoOptions)
    example = """
rule pairs:
    output: "data/pairs"
    rows: [
        {"question": "2 + 2?", "good": "4", "bad": "5"},
        {"question": "3 + 3?", "good": "6", "bad": "7"},
    ]

rule aligned:
    input: "data/pairs"
    output: "models/aligned"
    train orpo:
        base: "smollm2"
        prompt: "{{ question }}"
        chosen: "{{ good }}"
        rejected: "{{ bad }}"
        peft: lora(r=8)
        max_steps: 2
"""

    def trainer_of(self, start: Start, data: Data, options: Any, training: Training) -> Trainer:
        os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
        from trl.experimental.orpo import ORPOConfig, ORPOTrainer

        config = _trl.config_of(ORPOConfig, "orpo", options, training)
        trainer = _trl.checked(
            lambda: ORPOTrainer(
                model=start.model,
                args=config,
                train_dataset=data.train,
                eval_dataset=data.eval,
                processing_class=start.tokenizer,
                peft_config=start.lora,
            )
        )
        # TRL keeps rows of which `max_length` leaves no answer, and their loss is no number.
        trainer.train_dataset = trainer.train_dataset.filter(_has_answers)
        if trainer.eval_dataset is not None:
            trainer.eval_dataset = trainer.eval_dataset.filter(_has_answers)
        return trainer


def _has_answers(example: Example) -> bool:
    return all(any(label >= 0 for label in example[f"{name}_labels"]) for name in ("chosen", "rejected"))
