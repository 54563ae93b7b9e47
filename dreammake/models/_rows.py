"""The rows of one batch: how each is continued, by its own options and its own seed, and where it ends.

A row's answer depends on its own request only: its random numbers come from a generator of its own, so neither its
place in the batch nor what stands beside it matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import FloatTensor, LongTensor, Tensor
    from transformers import PreTrainedTokenizerBase

_NUCLEUS = 1024
"""Tokens that are sorted first for `top_p`; only a flat distribution needs more."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one request is continued. `limit` is in tokens; `temperature` 0 takes the likeliest token."""

    seed: int
    limit: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()

    @property
    def samples(self) -> bool:
        return self.temperature > 0

    @property
    def penalised(self) -> bool:
        return bool(self.presence_penalty or self.frequency_penalty)


class Sampler:
    """A logits processor for greedy decoding: it gives scores whose greatest is the token that the row's seed picks.

    The token is the greatest of p / e, e exponential, which has the distribution p (the Gumbel-max trick). Unlike
    walking along cumulated probabilities, it gives the same token where p differs by a rounding error.
    """

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        import torch

        self._torch = torch
        self._sampled = [number for number, row in enumerate(rows) if row.samples]
        self._penalised = [number for number, row in enumerate(rows) if row.penalised]
        self._sampling = [rows[number] for number in self._sampled]
        self._penalties = [rows[number] for number in self._penalised]
        self._generators = [torch.Generator(device).manual_seed(row.seed) for row in self._sampling]
        self._temperatures = torch.tensor([[row.temperature] for row in self._sampling], device=device)
        self._counts: Tensor | None = None
        self._noise: Tensor | None = None

    @property
    def idle(self) -> bool:
        """Does every row take its likeliest token, as the model gives it?"""
        return not (self._sampled or self._penalised)

    def __call__(self, input_ids: LongTensor, scores: FloatTensor) -> Tensor:
        if not self._penalised and len(self._sampled) == len(scores):
            return self._sample(scores)
        scores = scores.clone()  # type: ignore[assignment]
        if self._penalised:
            scores[self._penalised] -= self._penalty(input_ids[self._penalised], scores)
        if self._sampled:
            scores[self._sampled] = self._sample(scores[self._sampled])
        return scores

    def _penalty(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Rows x vocabulary. Counts what each row has answered so far; its prompt does not count."""
        torch = self._torch
        if self._counts is None:
            self._counts = torch.zeros(len(self._penalised), scores.shape[1], device=scores.device)
        else:
            self._counts.scatter_add_(1, input_ids[:, -1:], torch.ones_like(input_ids[:, -1:], dtype=torch.float32))
        presence = torch.tensor([[row.presence_penalty] for row in self._penalties], device=scores.device)
        frequency = torch.tensor([[row.frequency_penalty] for row in self._penalties], device=scores.device)
        penalty: Tensor = presence * (self._counts > 0) + frequency * self._counts
        return penalty

    def _sample(self, scores: Tensor) -> Tensor:
        probabilities = (scores / self._temperatures).softmax(-1)
        for number, row in enumerate(self._sampling):
            if row.top_p < 1 or row.top_k or row.min_p:
                _cut_tail(probabilities[number], row)
        if self._noise is None:
            self._noise = self._torch.empty_like(probabilities)
        for noise, generator in zip(self._noise, self._generators, strict=True):
            noise.exponential_(generator=generator)
        return probabilities / self._noise


def _cut_tail(probabilities: Tensor, row: Row) -> None:
    """Set to 0, in place, what `top_k`, `top_p` and `min_p` leave out of one row's probabilities."""
    least = row.min_p * float(probabilities.max())
    if row.top_k and row.top_k < len(probabilities):
        least = max(least, float(probabilities.topk(row.top_k).values[-1]))
    if row.top_p < 1:
        best = probabilities.topk(min(_NUCLEUS, len(probabilities))).values
        if float(best.sum()) < row.top_p:
            best = probabilities.sort(descending=True).values
        before = best.cumsum(0) - best
        least = max(least, float(best[before < row.top_p][-1]) if row.top_p > 0 else float(best[0]))
    probabilities[probabilities < least] = 0


class Ends:
    """A stopping criterion for each row: its limit, its stop texts, or an end for all that `cancelled` asks for."""

    def __init__(
        self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, begin: int, cancelled: Callable[[], bool]
    ) -> None:
        self._limits = [row.limit for row in rows]
        self._stops = {number: row.stop for number, row in enumerate(rows) if row.stop}
        self._tokenizer = tokenizer
        self._begin = begin
        self._cancelled = cancelled
        self._stopped: set[int] = set()

    def __call__(self, input_ids: LongTensor, scores: Any, **kwargs: Any) -> Tensor:
        import torch

        length = input_ids.shape[1] - self._begin
        if self._cancelled():
            return torch.ones(len(self._limits), dtype=torch.bool, device=input_ids.device)
        for number, stops in self._stops.items():
            if number not in self._stopped and self._has_stop(input_ids[number, self._begin :], stops):
                self._stopped.add(number)
        ended = [length >= limit or number in self._stopped for number, limit in enumerate(self._limits)]
        return torch.tensor(ended, device=input_ids.device)

    def _has_stop(self, ids: Tensor, stops: tuple[str, ...]) -> bool:
        """Is one in the text that the last tokens make? A character is at most four tokens."""
        last = ids[-4 * max(map(len, stops)) - 4 :]
        text = self._tokenizer.decode(last, skip_special_tokens=True)
        return any(stop in text for stop in stops)


def ended_text(
    ids: Sequence[int], row: Row, ends: frozenset[int], tokenizer: PreTrainedTokenizerBase
) -> tuple[str, str, int]:
    """The text of a row's new tokens, why it ended, and how many tokens it took. What follows its end is padding."""
    new = list(ids[: row.limit])
    end = next((place for place, token in enumerate(new) if token in ends), None)
    text = tokenizer.decode(new if end is None else new[:end], skip_special_tokens=True)
    first = min((place for stop in row.stop if (place := text.find(stop)) >= 0), default=None)
    if first is not None:
        used = _tokens_until(new, text, first, row, tokenizer)
        return text[:first], "stop", used
    if end is not None:
        return text, "stop", end + 1
    return text, "length", len(new)


def _tokens_until(ids: list[int], text: str, first: int, row: Row, tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens were made until the stop text stood there: the batch may have gone on without the row."""
    lengths = [len(stop) for stop in row.stop if text.startswith(stop, first)]
    wanted = first + min(lengths)
    low, high = 1, len(ids)
    while low < high:
        middle = (low + high) // 2
        if len(tokenizer.decode(ids[:middle], skip_special_tokens=True)) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def row_of(options: Mapping[str, Any], extra: Mapping[str, Any], seed: int, limit: int) -> Row:
    """The row that a request's options ask for."""
    stop = options.get("stop") or ()
    return Row(
        seed=seed,
        limit=limit,
        temperature=options["temperature"],
        top_p=_or(options.get("top_p"), 1.0),
        top_k=_or(extra.get("top_k"), 0),
        min_p=_or(extra.get("min_p"), 0.0),
        presence_penalty=options.get("presence_penalty") or 0.0,
        frequency_penalty=options.get("frequency_penalty") or 0.0,
        stop=tuple(stop),
    )


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
