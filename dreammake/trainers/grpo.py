"""Group relative policy optimization with TRL's GRPOTrainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.options import Choice
from dreammake.core.trainer import Training
from dreammake.trainers._online import OnlineOptions, OnlineTrainer, Task
from dreammake.trainers._online.of_trl import trl_learner
from dreammake.trainers._options import with_trl_options

if TYPE_CHECKING:
    from transformers import Trainer


class GrpoOptions(OnlineOptions):
    """The prompts and rewards, and TRL's choices by name; then all options of TRL's GRPOConfig."""

    loss_type = Choice(
        "How the loss is averaged over tokens and completions.",
        *("dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
        default="dapo",
    )
    scale_rewards = Choice(
        "Advantages are divided by the standard deviation of rewards in the group, in the batch, or not at all.",
        *("group", "batch", "none"),
        default="group",
    )
    importance_sampling_level = Choice(
        'Probability ratios are taken token by token, or one for each completion ("sequence", which is GSPO).',
        *("token", "sequence"),
        default="token",
    )
    multi_objective_aggregation = Choice(
        "Several rewards are summed and then normalized, or the other way round.",
        *("sum_then_normalize", "normalize_then_sum"),
        default="sum_then_normalize",
    )


class Grpo(OnlineTrainer):
    """Teaches a causal language model by rewards: it answers a prompt several times and learns from what was better.

    For each prompt it writes `num_generations` completions; each is rewarded, and what is above the mean of its group
    becomes more likely. A reward is a Python function (`reward: "rewards.py:function"`), a model that `train reward`
    made (`reward_model: input.reward`), a declared model that is asked for a score (`judge: critic`), or several of
    them, added up by `reward_weights`. A function takes what it names: `completion`, `prompt`, `row`, and the columns
    of the row; it returns a number, or None to abstain. A judge's answers are kept, counted and paid for as those of
    any step that asks; one that is no number on its scale is no reward.

    The size of a batch, `per_device_train_batch_size` times `gradient_accumulation_steps`, counts completions and is a
    multiple of `num_generations`. Every option of TRL's GRPOConfig is taken by its name there, except those for vLLM
    and tools. The result is as that of `train sft`. Equal inputs give equal bytes on one kind of machine.
    """

    Options = with_trl_options("grpo", GrpoOptions)
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
    train grpo:
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
        from trl import GRPOConfig, GRPOTrainer

        return trl_learner("grpo", (GRPOConfig, GRPOTrainer), options, training, task)
