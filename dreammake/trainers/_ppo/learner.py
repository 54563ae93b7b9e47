"""The loop of PPO, put into transformers' Trainer: completions are written and judged, and then learned from in several
passes.

A rollout is `num_mini_batches` batches of prompts. Every optimizer step learns from one batch, and each batch is
learned from `num_ppo_epochs` times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.trainers import _watch
from dreammake.trainers._online.rewards import combined, names_of
from dreammake.trainers._online.rollouts import PromptOrder, Rollouts
from dreammake.trainers._ppo.equations import (
    KlControl,
    advantages_of,
    policy_losses,
    token_rewards,
    value_losses,
    whitened,
)
from dreammake.trainers._ppo.policy import (
    Beginning,
    add_value_head,
    completion_mask,
    end_tokens,
    no_dropout,
    read,
    sampling,
)

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Trainer

    from dreammake.trainers._online import Task

Rollout = dict[str, "Tensor"]
"""Sequences with what was thought of them when they were written, a row a completion; and `order`, for each pass the
order of the rows."""

_OF_A_COMPLETION = ("ids", "attention", "mask", "logprobs", "values", "advantages", "returns")


def ppo_learner(options: Any, config: Any, task: Task) -> Trainer:
    """The Trainer, ready to run."""
    from peft import get_peft_model
    from transformers import Trainer, set_seed

    policy = task.start.model
    if task.start.lora is not None:
        policy = get_peft_model(policy, task.start.lora)
    add_value_head(policy)
    no_dropout(policy)
    kind = type("PpoLearner", (_Ppo, Trainer), {})
    learner: Any = kind(
        model=policy,
        args=config,
        train_dataset=task.data["train"],
        eval_dataset=task.data.get("eval"),
        processing_class=task.start.tokenizer,
        data_collator=list,
    )
    learner.prepare(options, task)
    learner.add_callback(_watch.callback(WithoutHead))
    set_seed(config.seed + config.process_index)  # several processes write different completions
    return learner


class WithoutHead:
    """Takes the value head off again, so that the model folder holds the policy alone."""

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        del model.value_head


class _Ppo(Rollouts):
    """What PPO does otherwise than transformers' Trainer, which stands behind it."""

    loss_is_scaled_for_ga = True
    """`compute_loss` divides by the tokens of the whole batch, so nothing is left to divide."""

    def prepare(self: Any, options: Any, task: Task) -> None:
        """Set up what a Trainer does not have."""
        self._options = options
        self._task = task
        self._metrics: dict[str, dict[str, list[float]]] = {"train": defaultdict(list), "eval": defaultdict(list)}
        self._beginning = Beginning(self.model)
        self._control = KlControl(options.kl_coef, options.kl_target, options.kl_horizon)
        self._ends = end_tokens(self.model, task.start.tokenizer)
        self._sampling = sampling(options, self._ends, task.start.tokenizer)
        self._buffered_inputs: Rollout | None = None
        self._step = 0

    # What is learned from

    @property
    def _batch(self: Any) -> int:
        """Completions of one optimizer step, in this process."""
        return int(self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps)

    @property
    def _forwards(self: Any) -> int:
        """How often the model is called for one rollout."""
        steps = self._options.num_ppo_epochs * self._options.num_mini_batches
        return int(steps * self.args.gradient_accumulation_steps)

    def get_train_dataloader(self: Any) -> Any:
        size = self._batch * self._options.num_mini_batches
        return self._get_dataloader(self.train_dataset, "Training", size, self._get_train_sampler, is_training=True)

    def _get_train_sampler(self: Any, dataset: Any = None) -> Any:
        size = self._batch * self._options.num_mini_batches * self.args.world_size
        return PromptOrder(len(self.train_dataset), size, self._forwards, self.args.data_seed or self.args.seed)

    def _set_signature_columns_if_needed(self: Any) -> None:
        self._signature_columns = ["prompt", "row", "dataset"]

    def _prepare_inputs(self: Any, inputs: Any) -> Rollout:
        """The part of the rollout that the next call of the model learns from."""
        if not self.model.training:
            written: Rollout = self._written(inputs, "eval")
            return self._part(written, slice(None), slice(None))  # type: ignore[no-any-return]
        at = self._step % self._forwards
        if at == 0:
            self._buffered_inputs = self._written(inputs, "train")
        self._step += 1
        assert self._buffered_inputs is not None
        each, batch = self.args.per_device_train_batch_size, self._batch
        epoch, place = divmod(at * each, batch * self._options.num_mini_batches)
        order = self._buffered_inputs["order"][epoch]
        whole = order[place // batch * batch :][:batch]
        return self._part(self._buffered_inputs, order[place : place + each], whole)  # type: ignore[no-any-return]

    def _part(self: Any, rollout: Rollout, rows: Any, batch: Any) -> Rollout:
        """Some rows, and how many tokens the batch has that they are of."""
        return {name: rollout[name][rows] for name in _OF_A_COMPLETION} | {
            "tokens": self._total(rollout["mask"][batch].sum())
        }

    def _total(self: Any, number: Tensor) -> Tensor:
        return self.accelerator.reduce(number.clone(), reduction="sum")  # type: ignore[no-any-return]

    # What is written and judged

    def _written(self: Any, examples: list[Mapping[str, Any]], mode: str) -> Rollout:
        """Completions of the prompts, with advantages and returns."""
        import torch

        policy = self.accelerator.unwrap_model(self.model)
        was_training = policy.training
        policy.eval()
        with torch.no_grad():
            rollout: Rollout = self._completions(policy, examples)
            scores = self._scores(rollout, examples, mode)
            self._judge(policy, rollout, scores, mode)
        policy.train(was_training)
        rows, device = len(examples), rollout["ids"].device
        orders = [torch.randperm(rows) for _ in range(self._options.num_ppo_epochs)] if mode == "train" else []
        return rollout | {"order": torch.stack(orders).to(device)} if orders else rollout

    def _completions(self: Any, policy: Any, examples: list[Mapping[str, Any]]) -> Rollout:
        import torch

        tokenizer = self._task.start.tokenizer
        texts = [_as_text(example["prompt"], tokenizer) for example in examples]
        written = tokenizer(texts, add_special_tokens=not self._task.start.has_chat)
        # `pad` and not `padding=True`, which stays in the tokenizer, and so gets into the model folder.
        asked = tokenizer.pad(written, return_tensors="pt", padding_side="left").to(self.args.device)
        ids = policy.generate(
            input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], generation_config=self._sampling
        )
        mask = completion_mask(ids[:, asked["input_ids"].shape[1] :], self._ends)
        attention = torch.cat([asked["attention_mask"], mask.long()], dim=1)
        return {"ids": ids, "attention": attention, "mask": mask}

    def _scores(self: Any, rollout: Rollout, examples: list[Mapping[str, Any]], mode: str) -> Tensor:
        """The reward of each completion, without the KL penalty."""
        import torch

        mask, length = rollout["mask"], rollout["mask"].shape[1]
        written = rollout["ids"][:, -length:]
        texts = self._task.start.tokenizer.batch_decode(
            [row[keep.bool()] for row, keep in zip(written, mask, strict=True)], skip_special_tokens=True
        )
        prompts = [self._task.prompts[example["dataset"]][example["row"]] for example in examples]
        values = [reward(prompts, texts) for reward in self._task.rewards]
        for name, column in zip(names_of(self._task.rewards), values, strict=True):
            known = [value for value in column if value is not None]
            self._note(mode, f"rewards/{name}/mean", torch.tensor(known, dtype=torch.float32).mean())
        scores = torch.tensor(combined(values, self._options.reward_weights), device=mask.device)
        self._note(mode, "reward", scores.mean())
        ended = torch.isin(written, torch.tensor(self._ends, device=mask.device)).any(1)
        self._note(mode, "completions/mean_length", mask.sum(1).mean())
        self._note(mode, "completions/clipped_ratio", (~ended).float().mean())
        return scores - (self._options.missing_eos_penalty or 0.0) * ~ended

    def _judge(self: Any, policy: Any, rollout: Rollout, scores: Tensor, mode: str) -> None:
        """Add to the rollout what the policy and the reference think of it, and what was better than expected."""
        options, mask = self._options, rollout["mask"]
        rollout["logprobs"], rollout["values"] = self._read_all(policy, rollout)
        with self._beginning.restored():
            reference, _ = self._read_all(policy, rollout)
        kl = ((rollout["logprobs"] - reference) * mask).sum(1)
        rewards = token_rewards(scores, rollout["logprobs"], reference, mask, self._control.coefficient)
        if options.whiten_rewards:
            rewards = whitened(rewards, mask, self._total, shift=False)
        advantages, rollout["returns"] = advantages_of(rewards, rollout["values"], mask, options.gamma, options.lam)
        rollout["advantages"] = whitened(advantages, mask, self._total) if options.whiten_advantages else advantages
        self._note(mode, "kl", kl.mean())
        if mode == "train":
            self._note(mode, "kl_coef", scores.new_tensor(self._control.coefficient))
            mean = self.accelerator.gather(kl).mean().item()
            self._control.observe(mean, len(kl) * self.args.world_size)

    def _read_all(self: Any, policy: Any, rollout: Rollout) -> tuple[Tensor, Tensor]:
        import torch

        length, each = rollout["mask"].shape[1], self.args.per_device_train_batch_size
        parts = zip(torch.split(rollout["ids"], each), torch.split(rollout["attention"], each), strict=True)
        heat = self._options.temperature
        readings = [read(policy, policy, ids, attention, length, heat) for ids, attention in parts]
        return torch.cat([one.logprobs for one in readings]), torch.cat([one.values for one in readings])

    # What is learned

    def compute_loss(self: Any, model: Any, inputs: Rollout, *_: Any, **__: Any) -> Tensor:
        options, mask = self._options, inputs["mask"]
        policy = self.accelerator.unwrap_model(model)
        now = read(model, policy, inputs["ids"], inputs["attention"], mask.shape[1], options.temperature)
        policy_loss, clipped = policy_losses(now.logprobs, inputs["logprobs"], inputs["advantages"], options.cliprange)
        value_loss = value_losses(now.values, inputs["values"], inputs["returns"], options.cliprange_value)
        mode, own = "train" if self.model.training else "eval", mask.sum()
        measured = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": now.entropy}
        for name, values in (measured | {"clip_ratio": clipped.float()}).items():
            self._note(mode, name, (values.detach() * mask).sum() / own)
        loss: Tensor = ((policy_loss + options.vf_coef * value_loss) * mask).sum() / inputs["tokens"]
        loss *= self.args.world_size  # the gradients of several processes are averaged
        return loss

    def prediction_step(self: Any, model: Any, inputs: Any, *_: Any, **__: Any) -> tuple[Any, None, None]:
        import torch

        with torch.no_grad():
            return self.compute_loss(model, self._prepare_inputs(inputs)).detach(), None, None

    def _note(self: Any, mode: str, name: str, number: Tensor) -> None:
        self._metrics[mode][name].append(self.accelerator.gather(number.to(self.args.device)).nanmean().item())

    def log(self: Any, logs: dict[str, float], *given: Any) -> None:
        mode, prefix = ("train", "") if self.model.training else ("eval", "eval_")
        logs.update({prefix + name: sum(each) / len(each) for name, each in self._metrics[mode].items() if each})
        self._metrics[mode].clear()
        super().log(logs, *given)  # type: ignore[misc]

    # What a checkpoint keeps

    def _save(self: Any, output_dir: str | None = None, state_dict: Any = None) -> None:
        from safetensors.torch import save_file

        policy = self.accelerator.unwrap_model(self.model)
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        trained = {
            name: one.detach().cpu().contiguous() for name, one in policy.named_parameters() if one.requires_grad
        }
        save_file(trained, folder / "trained.safetensors")

    def _load_from_checkpoint(self: Any, checkpoint: str, model: Any = None) -> None:
        from safetensors.torch import load_file

        policy = self.accelerator.unwrap_model(self.model if model is None else model)
        policy.load_state_dict(load_file(Path(checkpoint) / "trained.safetensors"), strict=False)

    def _load_best_model(self: Any) -> None:
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _kept(self: Any) -> dict[str, Any]:
        return {**super()._kept(), "kl_coef": self._control.coefficient}

    def _take(self: Any, kept: dict[str, Any]) -> None:
        super()._take(kept)
        self._control.coefficient = kept["kl_coef"]


def _as_text(prompt: Any, tokenizer: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return str(tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True))
