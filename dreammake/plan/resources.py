"""What a job takes from the pools while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.core.catalog import Catalog
from dreammake.core.values import models_in
from dreammake.lang.dreamfile import Rule
from dreammake.plan.graph import PlannedJob
from dreammake.plan.model_engine import trains_elsewhere
from dreammake.plan.pool import amount_of

ALL_CPUS = 1 << 30
"""More than any machine has: the job runs with no other beside it that needs a CPU of its own."""


def wants_of(job: PlannedJob) -> Mapping[str, int]:
    """Amounts by pool: `resources:` of the rule, and one CPU; all CPUs where a model runs or trains in the job."""
    return _wants(job.rule, job.setting("resources"))


def _wants(rule: Rule, resources: Mapping[str, Any] | None) -> dict[str, int]:
    setting = rule.settings.get("resources")
    span = setting.expr.span if setting else None
    wants = {name: amount_of(name, value, span) for name, value in (resources or {}).items()}
    wants.setdefault("cpus", ALL_CPUS if _is_heavy(rule) else 1)
    return wants


def _is_heavy(rule: Rule) -> bool:
    """Does the rule run a model on this machine?"""
    for step in rule.steps:
        if step.kind.makes == "model":
            return not trains_elsewhere(rule)
        for setting in step.settings.values():
            for spec in models_in(setting.value):
                engine = Catalog().find("models", spec.engine)
                if getattr(engine, "heavy", False):
                    return True
    return False
