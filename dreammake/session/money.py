"""What a build may cost: whether its budget can be kept, and what one that was reached leaves to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.prices import price_of
from dreammake.core.values import ModelSpec, models_in
from dreammake.plan.estimate import asking_steps, together
from dreammake.plan.graph import PlannedJob
from dreammake.plan.model_engine import trains_elsewhere
from dreammake.plan.plan import Plan
from dreammake.plan.selection import Selection
from dreammake.run.spending import unknown_price
from dreammake.session.session import Session


def check_prices(plan: Plan) -> None:
    """Raise DreamError `unknown-price` for the models that would be asked, or trained by an endpoint, and whose price
    nobody knows."""
    unknown = {spec.name: spec for spec in _models(plan) if price_of(spec) is None}
    found = [*map(unknown_price, unknown.values()), *map(_unknown_training, hosted_trainings(plan))]
    if found:
        raise DreamError(*found)


def check_offline(plan: Plan) -> None:
    """Raise DreamError `offline-miss` for the models that an endpoint would train."""
    hint = "build it without --offline"
    found = [
        Diagnostic("offline-miss", f"{job.id} is trained by an endpoint, which offline is not asked", span, hint=hint)
        for job in hosted_trainings(plan)
        for span in [job.rule.steps[-1].span]
    ]
    if found:
        raise DreamError(*found, exit_code=1)


def hosted_trainings(plan: Plan) -> list[PlannedJob]:
    """The jobs to do that an endpoint does."""
    return [verdict.job for verdict in plan.todo if trains_elsewhere(verdict.job.rule)]


def _unknown_training(job: PlannedJob) -> Diagnostic:
    return Diagnostic(
        "unknown-price",
        f"the budget cannot be kept: nobody knows what an endpoint takes for training {job.id}",
        job.rule.steps[-1].span,
        hint=f"build it without --budget first: dreammake {job.id}",
    )


def _models(plan: Plan) -> Iterator[ModelSpec]:
    for verdict in plan.todo:
        if verdict.job.unknown is not None:
            continue
        names = plan.graph.names(verdict.job)
        for step in asking_steps(verdict.job):
            yield from models_in(step.values(names)[step.kind.model_option])


def what_is_left(session: Session, selection: Selection) -> dict[str, Any]:
    """The prompts that are still to be asked, by a new plan: `prompts`, `exact`, `tokens`, `cost` (None: not known)."""
    from dreammake.session.estimating import estimates

    for record in session.log.records().values():
        for output in record.outputs:
            session.disk.forget(output.path)
    left = together(estimates(session, session.plan(Selection(selection.wanted))).values())
    return {"prompts": left.to_run, "exact": left.exact, "tokens": left.tokens, "cost": left.cost}
