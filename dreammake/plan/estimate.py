"""What a job would ask of models: counted, not asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompts:
    """Requests of one job, or of many. `exact` is False where an input is still to be built: then it is "at most".

    `total` is None where not even that is known. `cost` is in dollars, None where no price is known; `seconds` None
    where nothing was measured yet.
    """

    total: int | None = 0
    cached: int = 0
    to_run: int = 0
    exact: bool = True
    tokens: int = 0
    cost: float | None = None
    seconds: float | None = None


def together(prompts: Iterable[Prompts]) -> Prompts:
    """The sum; a part that is unknown makes it inexact."""
    all_ = list(prompts)
    costs = [one.cost for one in all_ if one.cost is not None]
    times = [one.seconds for one in all_ if one.seconds is not None]
    return Prompts(
        sum(one.total or 0 for one in all_),
        sum(one.cached for one in all_),
        sum(one.to_run for one in all_),
        all(one.exact and one.total is not None for one in all_),
        sum(one.tokens for one in all_),
        sum(costs) if costs else None,
        sum(times) if times else None,
    )
