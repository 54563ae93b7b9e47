"""A plan for programs: the document of `dreammake --dry-run --json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.plan.estimate import Prompts, together
from dreammake.plan.plan import Plan, Verdict
from dreammake.plan.stale import Reason


def plan_document(plan: Plan, prompts: Mapping[str, Prompts]) -> dict[str, Any]:
    """Every target with its action, reasons and prompts; and a summary."""
    whole = together(prompts.values())
    return {
        "targets": [target_json(verdict, prompts.get(verdict.job.id)) for verdict in plan.verdicts.values()],
        "summary": {
            "build": len(plan.of("build")),
            "follow": len(plan.of("follow")),
            "fresh": len(plan.of("fresh")),
            "prompts_to_run": whole.to_run,
            "exact": whole.exact,
            "tokens": whole.tokens,
            "cost": whole.cost or 0.0,
        },
        "unknown": [
            {"target": one.target, "column": one.column}
            for one in (*plan.graph.pending, *(job.unknown for job in plan.graph.jobs if job.unknown is not None))
        ],
    }


def target_json(verdict: Verdict, prompts: Prompts | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "target": verdict.job.id,
        "outputs": [put.path for put in verdict.job.outputs],
        "rule": verdict.job.rule.name,
        "action": verdict.action,
        "reasons": [reason_json(reason) for reason in verdict.reasons],
    }
    if prompts is not None:
        found["prompts"] = {
            "total": prompts.total,
            "cached": prompts.cached,
            "to_run": prompts.to_run,
            "exact": prompts.exact,
            "tokens": prompts.tokens,
            "cost": prompts.cost,
            "seconds": prompts.seconds,
        }
    return found


def reason_json(reason: Reason) -> dict[str, Any]:
    """One reason: its kind, where, old and new values, and the line of the Dreamfile where there is one."""
    found = {"kind": reason.kind, "where": reason.where, "old": reason.old, "new": reason.new, "line": reason.line}
    return {key: value for key, value in found.items() if value is not None or key in ("old", "new")}
