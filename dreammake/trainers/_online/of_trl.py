"""The online methods that TRL has: its trainer over our prompts, rewards and rollouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.trainer import Training
from dreammake.trainers import _adapter, _base_model, _trl
from dreammake.trainers._online import Task, check_batch, judged_by_reward
from dreammake.trainers._online.prompts import Prompts
from dreammake.trainers._online.rewards import Reward, Values, names_of
from dreammake.trainers._online.rollouts import TrlRollouts

if TYPE_CHECKING:
    from transformers import Trainer


def trl_learner(method: str, kinds: tuple[Any, Any], options: Any, training: Training, task: Task) -> Trainer:
    """TRL's trainer of a method; `kinds` are its config and its trainer. Raises DreamError where it refuses."""
    config_kind, trainer_kind = kinds
    config = judged_by_reward(_trl.config_of(config_kind, method, options, training))
    prompts = config.generation_batch_size // config.num_generations
    check_batch(prompts, len(task.data["train"]), "the batch of completions")
    _keep_reference(options, training, task)
    kind: Any = type(f"{method.capitalize()}Learner", (TrlRollouts, trainer_kind), {})
    trainer: Trainer = _trl.checked(
        lambda: kind(
            model=task.start.model,
            reward_funcs=_rewards(task),
            args=config,
            train_dataset=task.data["train"],
            eval_dataset=task.data.get("eval"),
            processing_class=task.start.tokenizer,
            peft_config=task.start.lora,
        )
    )
    return trainer


def _rewards(task: Task) -> list[Callable[..., Values]]:
    """The rewards as TRL calls them: with the columns of `task.data`, and completions as texts or as chats."""
    names = names_of(task.rewards)
    return [_reward(reward, name, task.prompts) for reward, name in zip(task.rewards, names, strict=True)]


def _reward(reward: Reward, name: str, prompts: Mapping[str, Prompts]) -> Callable[..., Values]:
    def values(completions: Sequence[Any], row: Sequence[int], dataset: Sequence[str], **_: Any) -> Values:
        asked = [prompts[name][number] for name, number in zip(dataset, row, strict=True)]
        texts = [made if isinstance(made, str) else made[0]["content"] for made in completions]
        return reward(asked, texts)

    values.__name__ = name
    return values


def _keep_reference(options: Any, training: Training, task: Task) -> None:
    """TRL opens the reference model, which the KL penalty compares with, by the name of the base: where an adapter went
    into the weights first, that name is not the model, so it is written down."""
    plain = options.adapter is None and not _base_model.is_adapter(task.start.base)
    if plain or not options["beta"] or task.start.lora is not None or _adapter.is_on(task.start.model):
        return
    folder = training.checkpoints / "reference"
    task.start.model.save_pretrained(folder)
    task.start.model.config._name_or_path = str(folder)
