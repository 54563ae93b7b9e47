"""The policy of PPO: a causal model that also says what it expects, its value head; and what it began as."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Reading:
    """What a policy makes of each token of the completions, of shape (completions, tokens)."""

    logprobs: Tensor
    values: Tensor
    entropy: Tensor


def add_value_head(model: PreTrainedModel) -> None:
    """A linear layer on the last hidden state, at first 0 everywhere: nothing is expected. It shares the model's trunk,
    as in Ziegler 2019, and is a part of the model, so that optimizer and several processes treat it as one."""
    import torch

    size = model.config.get_text_config().hidden_size
    head = torch.nn.Linear(size, 1, device=model.device)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    model.value_head = head


def no_dropout(model: PreTrainedModel) -> None:
    """Without it the policy that learns is, at first, the one that wrote the completions."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def read(model: Any, policy: PreTrainedModel, ids: Tensor, attention: Tensor, length: int, heat: float) -> Reading:
    """Read the last `length` tokens of each sequence. `model` is the policy, or what stands for it in several
    processes; `heat` is the temperature that the tokens were drawn with."""
    import torch

    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": attention}
    takes = inspect.signature(_core(policy).forward).parameters
    if "position_ids" in takes:
        inputs["position_ids"] = (attention.cumsum(1) - 1).clamp(min=0)
    if "logits_to_keep" in takes:
        inputs["logits_to_keep"] = length + 1
    output = model(**inputs, output_hidden_states=True, use_cache=False)
    scores = torch.log_softmax(output.logits[:, -length - 1 : -1].float() / heat, dim=-1)
    logprobs = scores.gather(2, ids[:, -length:, None]).squeeze(2)
    hidden = output.hidden_states[-1][:, -length - 1 : -1]
    head = policy.value_head
    values = head(hidden.to(head.weight.dtype)).squeeze(2).float()
    with torch.no_grad():
        entropy = -(scores.exp() * scores).sum(2)
    return Reading(logprobs, values, entropy)


def _core(policy: Any) -> Any:
    return policy.get_base_model() if hasattr(policy, "get_base_model") else policy


class Beginning:
    """The trained weights as they began: the reference policy, whatever is trained."""

    def __init__(self, policy: PreTrainedModel) -> None:
        self._trained = [one for name, one in policy.named_parameters() if one.requires_grad]
        self._began = [one.detach().clone() for one in self._trained]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Inside it, the policy is what it was."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for at, parameter in enumerate(self._trained):
            parameter.data, self._began[at] = self._began[at].to(parameter.device), parameter.data


def end_tokens(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens with which a completion ends."""
    known = getattr(policy.generation_config, "eos_token_id", None)
    ids = known if isinstance(known, list) else [known]
    return sorted({one for one in (*ids, tokenizer.eos_token_id) if one is not None})


def sampling(options: Any, ends: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """How completions are drawn."""
    from transformers import GenerationConfig

    return GenerationConfig(
        max_new_tokens=options.max_completion_length,
        do_sample=True,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        repetition_penalty=1.0,
        eos_token_id=list(ends),
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def completion_mask(ids: Tensor, ends: Sequence[int]) -> Tensor:
    """1.0 up to the first end token, which counts, and 0.0 after it."""
    import torch

    ended = torch.isin(ids, torch.tensor(ends, device=ids.device)).long()
    return ((ended.cumsum(1) - ended) == 0).float()
