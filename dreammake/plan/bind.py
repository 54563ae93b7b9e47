"""The document of one job: its inputs and outputs, and every setting of its rule with its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.core.job import Job, StepCall
from dreammake.core.values import to_json
from dreammake.lang.dreamfile import Names
from dreammake.plan.graph import PlannedJob


def job_of(job: PlannedJob, names: Names, card: Mapping[str, Any], resources: Mapping[str, Any]) -> Job:
    """The frozen document that a worker runs, given the names of the job."""
    steps = tuple(
        StepCall(step.word, step.name, to_json(step.values(names)), f"{step.span.path}:{step.span.line}")
        for step in job.rule.steps
    )
    return Job(job.id, job.rule.name, job.inputs, job.outputs, steps, resources, card)
