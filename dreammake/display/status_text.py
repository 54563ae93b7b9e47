"""The state of all targets."""

from __future__ import annotations

import time
from typing import Any

from dreammake.display.amounts import count, duration
from dreammake.display.cells import one_line, pad
from dreammake.display.reasons import headline
from dreammake.display.style import Style
from dreammake.display.wording import facts
from dreammake.plan.plan import Plan, Verdict


def draw_status(plan: Plan, style: Style, now: float) -> str:
    """A line a target: fresh or stale, what it holds, when it was built, why it is stale."""
    if not plan.verdicts:
        return "the Dreamfile makes nothing yet"
    room = min(max(len(job) for job in plan.verdicts), 48)
    lines = [_line(verdict, room, style, now) for verdict in plan.verdicts.values()]
    stale = len(plan.todo)
    lines += [
        "",
        f"{count(len(plan.verdicts), 'target')}, {stale:,} stale"
        if stale
        else f"all is up to date ({count(len(plan.verdicts), 'target')})",
    ]
    return "\n".join(lines)


def _line(verdict: Verdict, room: int, style: Style, now: float) -> str:
    record = verdict.record
    if verdict.action == "fresh":
        word = style.paint("fresh ", "green")
        built = f"built {duration(max(0.0, now - record.built_at), about=True)} ago" if record else ""
        about = ", ".join(part for part in (facts(record.facts) if record else "", built) if part)
    else:
        missing = any(reason.kind == "missing" for reason in verdict.reasons)
        word = style.paint("absent" if missing else "stale ", "yellow")
        about = "; ".join(one_line(headline(reason)) for reason in verdict.reasons[:3])
    return f"{word}  {pad(verdict.job.id, room)}  {about}".rstrip()


def status_document(plan: Plan) -> dict[str, Any]:
    """The same for programs."""
    return {
        "targets": [
            {
                "target": verdict.job.id,
                "rule": verdict.job.rule.name,
                "state": "fresh" if verdict.action == "fresh" else "stale",
                "reasons": [headline(reason) for reason in verdict.reasons],
                "built_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(verdict.record.built_at))
                if verdict.record
                else None,
                "facts": dict(verdict.record.facts) if verdict.record else {},
            }
            for verdict in plan.verdicts.values()
        ]
    }
