"""Proximal policy optimization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.options import Bool, Dict, Float, Int
from dreammake.core.trainer import Training
from dreammake.trainers import _trl
from dreammake.trainers._online import OnlineOptions, OnlineTrainer, Task, check_batch, judged_by_reward
from dreammake.trainers._options import with_trl_options

if TYPE_CHECKING:
    from transformers import Trainer


class PpoOptions(OnlineOptions):
    """The prompts and rewards, and what is PPO's; then the options of transformers' TrainingArguments."""

    num_mini_batches = Int(
        "Completions are written for so many batches at once, each of `per_device_train_batch_size` times "
        "`gradient_accumulation_steps` prompts.",
        default=1,
        at_least=1,
    )
    num_ppo_epochs = Int("How often each batch is learned from, one optimizer step each time.", default=4, at_least=1)
    max_completion_length = Int("The longest completion.", unit="tokens", default=512, at_least=1)
    temperature = Float("Of the completions: the higher, the more random.", default=1.0, at_least=0.01)
    top_p = Float("Tokens are drawn from the likeliest ones of this probability together.", default=1.0, at_most=1)
    top_k = Int("Tokens are drawn from so many likeliest ones; 0: from all.", default=0, at_least=0)
    missing_eos_penalty = Float("What a completion loses that does not end by itself.", default=None)
    kl_coef = Float("What a nat of distance from the base model costs, token by token.", default=0.05, at_least=0)
    kl_target = Float(
        "The KL divergence from the base model to keep to, by changing the cost; None: the cost stays `kl_coef`.",
        unit="nats a completion",
        default=None,
        at_least=0.001,
    )
    kl_horizon = Float(
        "How slowly the cost is changed for `kl_target`.", unit="completions", default=10_000.0, at_least=1
    )
    cliprange = Float("How far the probability of a token may move by one rollout, as a ratio.", default=0.2)
    cliprange_value = Float("How far the value of a token may move by one rollout.", default=0.2)
    vf_coef = Float("The weight of the value loss beside the policy loss.", default=0.1, at_least=0)
    gamma = Float("The discount of later rewards.", default=1.0, at_least=0, at_most=1)
    lam = Float("Lambda of the advantage estimate (GAE).", default=0.95, at_least=0, at_most=1)
    whiten_rewards = Bool("Give the rewards of a rollout the variance 1.", default=False)
    whiten_advantages = Bool("Give the advantages of a rollout the mean 0 and the variance 1.", default=True)
    learning_rate = Float("The initial learning rate.", default=3e-6, at_least=0)
    logging_steps = Int("Optimizer steps between two lines of the log.", default=10, at_least=1, result=False)
    trust_remote_code = Bool("Run code that comes with the base model.", default=False)
    model_init_kwargs = Dict("More arguments of `from_pretrained`.", default=None)


class Ppo(OnlineTrainer):
    """Teaches a causal language model by rewards, with a value function (PPO, as in Ziegler 2019 and Stiennon 2020).

    It writes a completion for each prompt; each token pays for its distance from the base model (`kl_coef`), and the
    last one earns the reward. A value head on the model learns what to expect; how much better a token was than
    expected (GAE) says how far it becomes more likely, within `cliprange`. The value head is not kept, and there is no
    dropout.

    A reward is a Python function (`reward: "rewards.py:function"`), a model that `train reward` made (`reward_model:
    input.reward`), a declared model that is asked for a score (`judge: critic`), or several of them, added up by
    `reward_weights`. A function takes what it names: `completion`, `prompt`, `row`, and the columns of the row; it
    returns a number, or None to abstain. A judge's answer that is no number on its scale is no reward.

    `max_steps` counts optimizer steps: a rollout is `num_ppo_epochs` times `num_mini_batches` of them. The result is as
    that of `train sft`. Equal inputs give equal bytes on one kind of machine.
    """

    Options = with_trl_options("ppo", PpoOptions)
    shards = False
    paper = "TrainHFPPO"
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
    train ppo:
        base: "smollm2"
        prompt: "What does the {{ animal }} do?"
        reward_model: input.reward
        per_device_train_batch_size: 2
        max_completion_length: 8
        peft: lora(r=8)
        max_steps: 2
"""

    def learner(self, options: Any, training: Training, task: Task) -> Trainer:
        from transformers import TrainingArguments

        from dreammake.trainers._ppo.learner import ppo_learner

        config = judged_by_reward(_trl.config_of(TrainingArguments, "ppo", options, training))
        config.ddp_find_unused_parameters = False  # all are used, the value head outside the model's own `forward`
        batch = config.per_device_train_batch_size * config.gradient_accumulation_steps * config.world_size
        check_batch(batch * options.num_mini_batches, len(task.data["train"]), "`num_mini_batches`")
        return ppo_learner(options, config, task)
