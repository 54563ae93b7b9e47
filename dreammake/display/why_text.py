"""The path from a target to the edits that make it stale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dreammake.display.cells import one_line
from dreammake.display.plan_json import reason_json
from dreammake.display.reasons import details, headline
from dreammake.display.style import Style
from dreammake.plan.plan import Plan, Verdict


def draw_why(plan: Plan, targets: Sequence[str], style: Style) -> str:
    """For each target: its own reasons, and below them those of what it needs, as far as there are any."""
    lines: list[str] = []
    told: set[str] = set()
    for target in targets:
        verdict = plan.verdicts[target]
        if verdict.action == "fresh":
            lines.append(f"{style.paint(target, 'bold')} is up to date")
            continue
        stack = [(verdict, 0)]
        while stack:
            found, depth = stack.pop()
            lines += _reasons(found, depth, style, again=found.job.id in told)
            if found.job.id in told:
                continue
            told.add(found.job.id)
            needs = [plan.verdicts[reason.where] for reason in found.reasons if not reason.root]
            stack += [(need, depth + 1) for need in reversed(needs)]
    return "\n".join(lines)


def _reasons(verdict: Verdict, depth: int, style: Style, *, again: bool) -> list[str]:
    indent = "  " * min(depth, 30)
    arrow = "" if not depth else "<- "
    head = f"{indent}{arrow}{style.paint(verdict.job.id, 'bold')}"
    if again:
        return [f"{head}: see above"]
    roots = [reason for reason in verdict.reasons if reason.root]
    if not roots:
        return [f"{head} follows from what it reads"]
    lines = [f"{head} is stale"]
    for reason in roots:
        place = f"   {reason.path}:{reason.line}" if reason.line else ""
        lines.append(f"{indent}     {one_line(headline(reason))}{style.paint(place, 'dim')}")
        for sign, text in details(reason):
            lines.append(
                f"{indent}       " + style.paint(f"{sign} {one_line(text)}", "red" if sign == "-" else "green")
            )
    return lines


def why_document(plan: Plan, targets: Sequence[str]) -> dict[str, Any]:
    """The same for programs: every stale target on the way, with its reasons."""
    found: dict[str, Any] = {}
    stack = [plan.verdicts[target] for target in targets]
    while stack:
        verdict = stack.pop()
        if verdict.job.id in found:
            continue
        found[verdict.job.id] = {
            "target": verdict.job.id,
            "rule": verdict.job.rule.name,
            "action": verdict.action,
            "reasons": [reason_json(reason) for reason in verdict.reasons],
        }
        stack += [plan.verdicts[reason.where] for reason in verdict.reasons if not reason.root]
    return {"wanted": list(targets), "targets": list(found.values())}
