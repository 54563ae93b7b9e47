"""REINFORCE leave-one-out with TRL's RLOOTrainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.trainer import Training
from dreammake.trainers._online import OnlineOptions, OnlineTrainer, Task
from dreammake.trainers._online.of_trl import trl_learner
from dreammake.trainers._options import with_trl_options

if TYPE_CHECKING:
    from transformers import Trainer


class Rloo(OnlineTrainer):
    """Teaches a causal language model by rewards: each completion is measured against the others of its prompt.

    For each prompt it writes `num_generations` completions. The advantage of one is its reward less the mean reward of
    the others, and the distance from the base model (`beta`) is part of the reward. Rewards, sizes of batches and the
    result are as in `train grpo`; every option of TRL's RLOOConfig is taken by its name there, except those for vLLM.
    """

    Options = with_trl_options("rloo", OnlineOptions)
    example = """
rule pairs:
    output: "data/pairs"
    rows: [
        {"animal": "cat", "good": "It purrs.", "bad": "It is one of many animals."},
        {"animal": "owl", "good": "It hoots.", "bad": "It is one of many birds."},
    ]

rule taste:
    input: "data/pairs"
    output: "models/taste"
    train reward:
        base: "smollm2"
        prompt: "What does the {{ animal }} do?"
        chosen: "{{ good }}"
        rejected: "{{ bad }}"
        peft: lora(r=8)
        max_steps: 2

rule brief:
    input:
        train: "data/pairs"
        reward: "models/taste"
    output: "models/brief"
    train rloo:
        base: "smollm2"
        prompt: "What does the {{ animal }} do?"
        reward_model: input.reward
        num_generations: 2
        per_device_train_batch_size: 2
        max_completion_length: 8
        peft: lora(r=8)
        max_steps: 2
"""

    def learner(self, options: Any, training: Training, task: Task) -> Trainer:
        from trl import RLOOConfig, RLOOTrainer

        return trl_learner("rloo", (RLOOConfig, RLOOTrainer), options, training, task)
