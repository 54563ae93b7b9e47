"""Warnings: what is allowed, and most likely not meant."""

from __future__ import annotations

from dreammake.core.diagnostic import Diagnostic
from dreammake.lang.names import free_names
from dreammake.plan.columns import check_columns
from dreammake.plan.plan import Plan

HIDEABLE = ("config", "wildcards", "input", "output")


def warnings(plan: Plan) -> list[Diagnostic]:
    """Columns that hide a name that an expression reads, and rules that nothing uses."""
    found: list[Diagnostic] = []
    known = check_columns(plan.graph)
    for job in plan.graph.jobs:
        columns = set(known.get(job.inputs[0].path) or ()) if job.inputs else set()
        for step in job.rule.steps:
            for setting in step.settings.values():
                if setting.option.when != "row":
                    continue
                for name in HIDEABLE:
                    if name in columns and name in free_names(setting.expr):
                        message = f"the column `{name}` hides the name `{name}` here"
                        hint = f'rename the column first, if the name is meant: rename: {name}: "..."'
                        found.append(
                            Diagnostic("hidden-name", message, setting.expr.span, hint=hint, severity="warning")
                        )
    used = {job.rule.name for job in plan.graph.jobs}
    for rule in plan.graph.dreamfile.rules.values():
        if rule.outputs and rule.wildcards and rule.name not in used:
            message = f"nothing asks for what `{rule.name}` makes"
            hint = "name one of its targets in the inputs of another rule, or build it by name"
            found.append(Diagnostic("unused-rule", message, rule.span, hint=hint, severity="warning"))
    return list(dict.fromkeys(found))
