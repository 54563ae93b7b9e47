"""The document of one job: its inputs and outputs, and every setting of its rule with its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.core.job import Job, StepCall
from dreammake.core.values import to_json
from dreammake.plan.graph import Graph, PlannedJob


def job_of(graph: Graph, job: PlannedJob, card: Mapping[str, Any], resources: Mapping[str, Any]) -> Job:
    """The frozen document that a worker runs."""
    names = graph.names(job)
    steps = tuple(
        StepCall(step.word, step.name, to_json(step.values(names)), f"{step.span.path}:{step.span.line}")
        for step in job.rule.steps
    )
    return Job(job.id, job.rule.name, job.inputs, job.outputs, steps, resources, card)
