"""PPO's equations against slow and obvious computations: plain loops over lists of numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.trainers._ppo.equations import (
    KlControl,
    advantages_of,
    policy_losses,
    token_rewards,
    value_losses,
    whitened,
)

if TYPE_CHECKING:
    from torch import Tensor

Table = list[list[float]]
NUMBERS = st.floats(-3, 3, width=32)
FRACTIONS = st.floats(0, 1, width=32)


@st.composite
def tables(draw: st.DrawFn, count: int) -> tuple[list[int], list[Table]]:
    """Lengths of completions, and tables of numbers for their tokens, padded to the longest."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    cells = st.lists(NUMBERS, min_size=max(lengths), max_size=max(lengths))
    rows = st.lists(cells, min_size=len(lengths), max_size=len(lengths))
    return lengths, [draw(rows) for _ in range(count)]


def tensor(numbers: object) -> Tensor:
    import torch

    return torch.tensor(numbers, dtype=torch.float64)


def mask_of(lengths: list[int]) -> Tensor:
    return tensor([[1.0 if token < length else 0.0 for token in range(max(lengths))] for length in lengths])


def near(made: Tensor, expected: Table) -> bool:
    return made.tolist() == [pytest.approx(row, rel=1e-6, abs=1e-6) for row in expected]


@settings(max_examples=60, deadline=None)
@given(tables(2), NUMBERS, FRACTIONS)
def test_each_token_pays_for_its_distance_and_the_last_one_earns_the_score(
    given: tuple[list[int], list[Table]], score: float, kl_coef: float
) -> None:
    lengths, (logprobs, reference) = given
    expected = [
        [
            (-kl_coef * (logprobs[row][token] - reference[row][token]) if token < length else 0.0)
            + (score + row if token == length - 1 else 0.0)
            for token in range(max(lengths))
        ]
        for row, length in enumerate(lengths)
    ]
    scores = tensor([score + row for row in range(len(lengths))])
    assert near(token_rewards(scores, tensor(logprobs), tensor(reference), mask_of(lengths), kl_coef), expected)


@settings(max_examples=60, deadline=None)
@given(tables(2), FRACTIONS, FRACTIONS)
def test_an_advantage_is_the_discounted_sum_of_all_later_surprises(
    given: tuple[list[int], list[Table]], gamma: float, lam: float
) -> None:
    lengths, (rewards, values) = given
    expected: Table = []
    for row, length in enumerate(lengths):
        worth = [*values[row][:length], 0.0]
        surprises = [rewards[row][t] + gamma * worth[t + 1] - worth[t] for t in range(length)]
        sums = [sum((gamma * lam) ** (k - t) * surprises[k] for k in range(t, length)) for t in range(length)]
        expected.append(sums + [0.0] * (max(lengths) - length))
    advantages, returns = advantages_of(tensor(rewards), tensor(values), mask_of(lengths), gamma, lam)
    assert near(advantages, expected)
    learned = [
        [expected[row][t] + values[row][t] if t < length else 0.0 for t in range(max(lengths))]
        for row, length in enumerate(lengths)
    ]
    assert near(returns, learned)


@settings(max_examples=60, deadline=None)
@given(tables(2))
def test_without_discount_returns_are_the_rewards_to_come(given: tuple[list[int], list[Table]]) -> None:
    lengths, (rewards, values) = given
    _, returns = advantages_of(tensor(rewards), tensor(values), mask_of(lengths), 1.0, 1.0)
    to_come = [
        [sum(rewards[row][t:length]) if t < length else 0.0 for t in range(max(lengths))]
        for row, length in enumerate(lengths)
    ]
    assert near(returns, to_come)


@settings(max_examples=60, deadline=None)
@given(tables(1), st.booleans())
def test_whitening_counts_only_the_tokens_of_completions(given: tuple[list[int], list[Table]], shift: bool) -> None:
    lengths, (values,) = given
    counted = [values[row][t] for row, length in enumerate(lengths) for t in range(length)]
    mean = sum(counted) / len(counted)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in counted) / len(counted) + 1e-8)
    expected = [
        [
            (values[row][t] - mean) / deviation + (0.0 if shift else mean) if t < length else 0.0
            for t in range(max(lengths))
        ]
        for row, length in enumerate(lengths)
    ]
    made = whitened(tensor(values), mask_of(lengths), lambda number: number, shift=shift)
    assert made.tolist() == [pytest.approx(row, rel=1e-4, abs=1e-4) for row in expected]


def test_whitening_over_two_processes_is_whitening_over_all() -> None:
    halves = [tensor([[1.0, 2.0]]), tensor([[5.0, 9.0]])]
    mask = tensor([[1.0, 1.0]])
    together = whitened(tensor([[1.0, 2.0], [5.0, 9.0]]), tensor([[1.0, 1.0]] * 2), lambda number: number)
    sums = iter([4.0, 17.0, sum((value - 4.25) ** 2 for value in (1.0, 2.0, 5.0, 9.0))])
    assert near(whitened(halves[0], mask, lambda number: tensor(next(sums))), together[:1].tolist())


@settings(max_examples=60, deadline=None)
@given(tables(3), st.floats(0.05, 0.5))
def test_the_policy_gains_nothing_from_going_further_than_the_clip_range(
    given: tuple[list[int], list[Table]], cliprange: float
) -> None:
    _, (logprobs, old, advantages) = given

    def gain(new: float, before: float, advantage: float) -> float:
        ratio = math.exp(new - before)
        return min(ratio * advantage, min(max(ratio, 1 - cliprange), 1 + cliprange) * advantage)

    expected = [
        [-gain(new, before, advantage) for new, before, advantage in zip(*rows, strict=True)]
        for rows in zip(logprobs, old, advantages, strict=True)
    ]
    losses, clipped = policy_losses(tensor(logprobs), tensor(old), tensor(advantages), cliprange)
    assert near(losses, expected)
    assert clipped.tolist() == [
        [abs(a) > 0 and -gain(n, b, a) > -math.exp(n - b) * a for n, b, a in zip(*rows, strict=True)]
        for rows in zip(logprobs, old, advantages, strict=True)
    ]


def test_a_clipped_token_gives_no_gradient() -> None:
    new = tensor([[0.5, 0.0]]).requires_grad_()
    policy_losses(new, tensor([[0.0, 0.0]]), tensor([[1.0, 1.0]]), 0.2)[0].sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == [[0.0, -1.0]]


@settings(max_examples=60, deadline=None)
@given(tables(3), st.floats(0.05, 0.5))
def test_a_value_may_move_so_far(given: tuple[list[int], list[Table]], cliprange: float) -> None:
    _, (values, old, returns) = given
    expected = [
        [
            max((v - r) ** 2, (min(max(v, o - cliprange), o + cliprange) - r) ** 2) / 2
            for v, o, r in zip(*rows, strict=True)
        ]
        for rows in zip(values, old, returns, strict=True)
    ]
    assert near(value_losses(tensor(values), tensor(old), tensor(returns), cliprange), expected)


@pytest.mark.parametrize(
    ("kl", "coefficient"),
    [
        (6.0, 0.1),
        (60.0, 0.1 * (1 + 0.2 * 64 / 1000)),
        (0.0, 0.1 * (1 - 0.2 * 64 / 1000)),
        (6.6, 0.1 * (1 + 0.1 * 0.064)),
    ],
)
def test_the_cost_of_distance_rises_when_the_policy_is_too_far(kl: float, coefficient: float) -> None:
    control = KlControl(0.1, 6.0, 1000)
    control.observe(kl, 64)
    assert control.coefficient == pytest.approx(coefficient)


def test_a_fixed_cost_stays() -> None:
    control = KlControl(0.1, None, 1000)
    control.observe(100, 64)
    assert control.coefficient == 0.1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=1, max_size=4))
def test_a_completion_ends_with_its_first_end_token(ids: list[list[int]]) -> None:
    import torch

    from dreammake.trainers._ppo.policy import completion_mask

    expected = []
    for row in ids:
        ends = [at for at, token in enumerate(row) if token in (2, 4)]
        length = ends[0] + 1 if ends else len(row)
        expected.append([1.0] * length + [0.0] * (len(row) - length))
    assert completion_mask(torch.tensor(ids), [2, 4]).tolist() == expected
