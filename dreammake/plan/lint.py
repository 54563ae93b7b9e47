"""Warnings: what is allowed, and most likely not meant."""

from __future__ import annotations

from dreammake.core.diagnostic import Diagnostic
from dreammake.plan.columns import check_columns
from dreammake.plan.plan import Plan


def warnings(plan: Plan) -> list[Diagnostic]:
    """Columns that hide a name that an expression reads, and rules that nothing uses."""
    found = check_columns(plan.graph)
    used = {job.rule.name for job in plan.graph.jobs}
    for rule in plan.graph.dreamfile.rules.values():
        if rule.outputs and rule.wildcards and rule.name not in used:
            message = f"nothing asks for what `{rule.name}` makes"
            hint = "name one of its targets in the inputs of another rule, or build it by name"
            found.append(Diagnostic("unused-rule", message, rule.span, hint=hint, severity="warning"))
    return list(dict.fromkeys(found))
