"""Which ready job starts first: the user's priority, then the one with the longest way to the end behind it."""

from __future__ import annotations

from dreammake.plan.plan import Plan

UNKNOWN_SECONDS = 1.0
"""What a job that never ran is taken to last."""


def priorities(plan: Plan) -> dict[str, tuple[float, ...]]:
    """A sort key for each job, the smallest first: priority, critical path in seconds, then the plan's order."""
    path: dict[str, float] = {}
    keys: dict[str, tuple[float, ...]] = {}
    for order, verdict in reversed(list(enumerate(plan.verdicts.values()))):
        job = verdict.job
        own = verdict.record.seconds if verdict.record is not None else UNKNOWN_SECONDS
        if verdict.action == "fresh":
            own = 0.0
        behind = max((path[after.id] for after in job.needed_by), default=0.0)
        path[job.id] = own + behind
        keys[job.id] = (-float(job.setting("priority", 0)), -path[job.id], float(order))
    return keys
