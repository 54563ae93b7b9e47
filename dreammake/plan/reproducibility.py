"""Reproducibility fingerprints: the recipe of a target, with those of all it is made from, down to the sources.

What is in no recipe is in none of them either: names of rules and models, layout, concurrency. Nor is what was
answered.
"""

from __future__ import annotations

from dreammake.core import fingerprint
from dreammake.plan.plan import Plan


def reproducibility(plan: Plan) -> dict[str, str]:
    """The fingerprint of every target of a plan, by its path. A source counts by its content."""
    found: dict[str, str] = {}
    for job in plan.graph.jobs:
        if not job.rule.steps:
            continue
        recipe = plan.graph.recipe(job)
        inputs = sorted(
            [role, found.get(put.path) or plan.contents.get(put.path)]
            for role, put in zip(job.roles, job.inputs, strict=True)
        )
        whole = fingerprint.of_value([recipe.shared.digest, recipe.own_text, inputs])
        for number, put in enumerate(job.outputs):
            found[put.path] = fingerprint.of_value([whole, put.name or number]) if len(job.outputs) > 1 else whole
    return found
