"""The prompts of an online method: the rows that a model writes its own completions for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import RowError
from dreammake.core.trainer import Training
from dreammake.trainers._examples import chat, dataset_of, renderer

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prompt:
    """One row with its rendered prompt. `number` is the row's place in its dataset, from 0."""

    number: int
    row: Mapping[str, Any]
    text: str
    system: str | None

    @cached_property
    def messages(self) -> list[dict[str, str]]:
        """As a chat."""
        return chat(self.system, user=self.text)

    @cached_property
    def plain(self) -> str:
        """As one text, for models without a chat template."""
        return f"{self.system}\n\n{self.text}" if self.system else self.text


class Prompts:
    """The prompts of a dataset, by number. Rows stay in Arrow; a prompt is rendered when it is asked for."""

    def __init__(self, options: OptionSet, rows: Rows) -> None:
        self.columns = rows.columns
        self._batches = list(rows.batches())
        self._ends = list(accumulate(batch.num_rows for batch in self._batches))
        self._prompt = renderer(options["prompt"], rows.columns)
        self._system = renderer(options["system"], rows.columns)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: int) -> Prompt:
        at = bisect_right(self._ends, number)
        batch = self._batches[at]
        place = number - (self._ends[at] - batch.num_rows)
        return self._rendered(number, batch.slice(place, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Prompt]:
        rows = (row for batch in self._batches for row in batch.to_pylist())
        return (self._rendered(number, row) for number, row in enumerate(rows))

    def _rendered(self, number: int, row: Mapping[str, Any]) -> Prompt:
        return Prompt(number, row, self._prompt(row), self._system(row))


def dataset_of_prompts(
    prompts: Prompts, tokenizer: PreTrainedTokenizerBase, room: int | None, training: Training, name: str
) -> Dataset:
    """What TRL draws from: `prompt` (a chat where the model has a chat template), its number `row`, and the `dataset`.

    A prompt of more than `room` tokens leaves no place for a completion: its row goes to the error table.
    """
    has_chat = bool(tokenizer.chat_template)

    def examples() -> Iterator[dict[str, Any]]:
        for prompt in prompts:
            length = _tokens(prompt, tokenizer) if room is not None else 0
            if room is not None and length > room:
                message = f"the prompt has {length} tokens, and with its completion the model takes at most {room}"
                error = RowError(prompt.number, "train", "context-overflow", message, prompt.row, again=False)
                training.error(error)
            else:
                yield {"prompt": prompt.messages if has_chat else prompt.plain, "row": prompt.number, "dataset": name}

    return dataset_of(("prompt", "row", "dataset"), examples(), name, training)


def _tokens(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.chat_template:
        written = tokenizer.apply_chat_template(prompt.messages, add_generation_prompt=True, return_dict=False)
        return len(written)
    return len(tokenizer(prompt.plain)["input_ids"])


def room_for_prompt(config: Any, max_completion_length: int) -> int | None:
    """The most tokens of a prompt beside which a completion fits in the model's context; None: nobody knows."""
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if context is None else int(context) - max_completion_length
