"""A reward model: it reads prompt and completion, and gives one number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail, first_line
from dreammake.core.embedded import base_folder, base_named_by
from dreammake.core.trainer import Training
from dreammake.trainers._base_model import is_adapter
from dreammake.trainers._online.prompts import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 16
"""Completions that are scored at once."""


class ModelReward:
    """The number that a sequence classification model with one label gives to a prompt with its completion."""

    def __init__(self, path: str, dtype: str, training: Training) -> None:
        from transformers import AutoTokenizer

        folder = training.path(path)
        opened = folder if folder.is_dir() else path
        self.name = Path(path).name
        try:
            self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(opened)
            self._model = _opened(opened, path, dtype, training)
        except (OSError, ValueError) as error:
            fail(
                "no-such-model",
                f"the reward model {path} cannot be opened: {first_line(error)}",
                hint="`reward_model` is a model that `train reward` made, or any sequence classification model",
                exit_code=1,
            )
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model.config.pad_token_id = self._tokenizer.pad_token_id
        self._model.eval().requires_grad_(False)

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float | None]:
        import torch

        self._model.to("cpu" if not torch.accelerator.is_available() else torch.accelerator.current_accelerator())
        texts = [self._text(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]
        scores: list[float | None] = []
        for start in range(0, len(texts), BATCH):
            inputs = self._tokenizer(
                texts[start : start + BATCH],
                return_tensors="pt",
                padding=True,
                padding_side="right",
                truncation=self._limit is not None,
                max_length=self._limit,
                add_special_tokens=not self._tokenizer.chat_template,
            )
            with torch.inference_mode():
                scores += self._model(**inputs.to(self._model.device)).logits[:, 0].float().tolist()
        return scores

    @property
    def _limit(self) -> int | None:
        return getattr(self._model.config, "max_position_embeddings", None)

    def _text(self, prompt: Prompt, completion: str) -> str:
        """As `train reward` shows it: as a chat where the reward model's tokenizer has a chat template."""
        if not self._tokenizer.chat_template:
            return prompt.plain + completion
        messages = [*prompt.messages, {"role": "assistant", "content": completion}]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False))


def _opened(folder: str | Path, path: str, dtype: str, training: Training) -> PreTrainedModel:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    if is_adapter(folder):
        return _adapted(Path(folder), dtype, training)
    config = AutoConfig.from_pretrained(folder)
    heads = config.architectures or []
    if heads and not any(head.endswith("ForSequenceClassification") for head in heads):
        fail(
            "wrong-reward-model",
            f"the reward model {path} is no reward model: it is a {heads[0]}",
            hint="make one with `train reward`, and give its target: `reward_model: input.reward`",
            exit_code=1,
        )
    if config.num_labels != 1:
        fail(
            "wrong-reward-model",
            f"the reward model {path} has {config.num_labels} labels, and a reward is one number",
            hint="take a model with one label, such as `train reward` makes",
            exit_code=1,
        )
    return AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)


def _adapted(folder: Path, dtype: str, training: Training) -> Any:
    """An adapter that `train reward` made, put into its base."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    name = base_named_by(folder) or ""
    base = training.path(name) if training.path(name).is_dir() else base_folder(name, training.say)
    whole = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=dtype)
    return PeftModel.from_pretrained(whole, folder).merge_and_unload()
