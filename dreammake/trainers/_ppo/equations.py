"""The equations of PPO for texts. Tensors are of shape (completions, tokens) unless it is said; `mask` is 1.0 where a
token counts: a completion's tokens stand at the left, and what follows its end does not count.

Schulman et al. 2017 (PPO, arXiv:1707.06347), Schulman et al. 2016 (GAE, arXiv:1506.02438), Ziegler et al. 2019 (the KL
penalty and its control, arXiv:1909.08593), Stiennon et al. 2020 (arXiv:2009.01325).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Total = Callable[["Tensor"], "Tensor"]
"""Adds a number up over all processes."""


def token_rewards(scores: Tensor, logprobs: Tensor, reference: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """Ziegler 2019, eq. 2: every token pays for its distance from the reference, and the last one earns the score.

    `scores` has one number a completion; `logprobs` and `reference` are those of the tokens by the policy that wrote
    them and by the reference policy.
    """
    rewards = -kl_coef * (logprobs - reference) * mask
    last = mask.sum(1).long() - 1
    rewards[range(len(rewards)), last] += scores
    return rewards


def advantages_of(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalized advantage estimates, and the returns, which the value function learns (Schulman 2016, eq. 16).

    `values` is what was expected before each token. Nothing is expected after the end.
    """
    values, rewards = values * mask, rewards * mask
    advantages = rewards.new_zeros(rewards.shape)
    after = rewards.new_zeros(len(rewards))
    expected = rewards.new_zeros(len(rewards))
    for token in reversed(range(rewards.shape[1])):
        surprise = rewards[:, token] + gamma * expected - values[:, token]
        after = (surprise + gamma * lam * after) * mask[:, token]
        advantages[:, token] = after
        expected = values[:, token]
    return advantages, advantages + values


def whitened(values: Tensor, mask: Tensor, total: Total, *, shift: bool = True) -> Tensor:
    """Values with variance 1 over the tokens that count, of all processes, and mean 0; or the same mean (`shift`)."""
    count = total(mask.sum())
    mean = total((values * mask).sum()) / count
    variance = total(((values - mean).square() * mask).sum()) / count
    scaled = (values - mean) * (variance + 1e-8).rsqrt()
    return (scaled if shift else scaled + mean) * mask


def policy_losses(logprobs: Tensor, old: Tensor, advantages: Tensor, cliprange: float) -> tuple[Tensor, Tensor]:
    """The clipped surrogate objective of each token, negated (Schulman 2017, eq. 7); and where clipping decided it."""
    ratio = (logprobs - old).exp()
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - cliprange, 1 + cliprange)
    return plain.maximum(clipped), clipped > plain


def value_losses(values: Tensor, old: Tensor, returns: Tensor, cliprange: float) -> Tensor:
    """Half the squared error of each token's value, which may move by `cliprange` from what it was."""
    near = old + (values - old).clamp(-cliprange, cliprange)
    return 0.5 * (values - returns).square().maximum((near - returns).square())


@dataclass(slots=True)
class KlControl:
    """The coefficient of the KL penalty: fixed, or one that keeps the KL near a `target` (Ziegler 2019, section 2.2).

    `target` is in nats a completion; `horizon` is the number of completions in which an error of 20 % would be undone.
    """

    coefficient: float
    target: float | None
    horizon: float

    def observe(self, kl: float, completions: int) -> None:
        """Adapt to the mean KL of so many completions."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.coefficient *= 1 + error * completions / self.horizon
