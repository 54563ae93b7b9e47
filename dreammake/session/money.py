"""What a build may cost: whether its budget can be kept, and what one that was reached leaves to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.prices import price_of
from dreammake.core.values import ModelSpec
from dreammake.plan.estimate import asking_steps, together
from dreammake.plan.plan import Plan
from dreammake.plan.selection import Selection
from dreammake.run.spending import unknown_price
from dreammake.session.session import Session


def check_prices(plan: Plan) -> None:
    """Raise DreamError `unknown-price` for the models that would be asked and whose price nobody knows."""
    unknown = {spec.name: spec for spec in _models(plan) if price_of(spec) is None}
    if unknown:
        raise DreamError(*map(unknown_price, unknown.values()))


def _models(plan: Plan) -> Iterator[ModelSpec]:
    for verdict in plan.todo:
        if verdict.job.unknown is not None:
            continue
        names = plan.graph.names(verdict.job)
        for step in asking_steps(verdict.job):
            spec = step.values(names)["model"]
            if isinstance(spec, ModelSpec):
                yield spec


def what_is_left(session: Session, selection: Selection) -> dict[str, Any]:
    """The prompts that are still to be asked, by a new plan: `prompts`, `exact`, `tokens`, `cost` (None: not known)."""
    from dreammake.session.estimating import estimates

    for record in session.log.records().values():
        for output in record.outputs:
            session.disk.forget(output.path)
    left = together(estimates(session, session.plan(Selection(selection.wanted))).values())
    return {"prompts": left.to_run, "exact": left.exact, "tokens": left.tokens, "cost": left.cost}
