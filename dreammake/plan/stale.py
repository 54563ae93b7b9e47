"""Is a target what would be made now? Each job is fresh, or stale with its reasons. One code path judges for the
plan, the dry run, `why`, and the build itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dreammake.core import fingerprint
from dreammake.plan.graph import Graph, PlannedJob
from dreammake.plan.ports import BuildLog, Record
from dreammake.plan.recipe import Ingredient

ReasonKind = Literal[
    "missing",
    "input",
    "option",
    "prompt",
    "model",
    "function",
    "step-version",
    "wildcard",
    "output-changed",
    "failed-rows",
    "forced",
    "input-will-change",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause: what changed, where, from what to what. `line` is the place in the Dreamfile."""

    kind: ReasonKind
    where: str = ""
    old: Any = None
    new: Any = None
    line: int | None = None
    path: str = ""
    """The file of `line`; for an input its path."""

    @property
    def root(self) -> bool:
        """Is it an edit, and not only what follows from one?"""
        return self.kind != "input-will-change"


Fingerprints = Mapping[str, str | None]
"""The content of each path that a job reads; None where it is still to be built."""


def judge(graph: Graph, job: PlannedJob, record: Record | None, now: Fingerprints, log: BuildLog) -> list[Reason]:
    """Why the job must run; no reasons: it is fresh. Outputs are judged by the caller (`changed_outputs`)."""
    if record is None:
        return []
    return [*_judge_recipe(graph, job, record, log), *judge_inputs(job, record, now)]


def _judge_recipe(graph: Graph, job: PlannedJob, record: Record, log: BuildLog) -> list[Reason]:
    recipe = graph.recipe(job)
    if recipe.shared.digest == record.shared and recipe.own_text == record.own:
        return []
    old = [*(log.ingredients(record.shared) or []), *json.loads(record.own)]
    span = job.rule.span
    order = Reason("option", "the order of the steps", line=span.line, path=span.path)
    return compare(old, recipe.ingredients()) or [order]


def judge_inputs(job: PlannedJob, record: Record, now: Fingerprints) -> list[Reason]:
    """The inputs of the job that are not what its record says; those that are still to be built do not count."""
    new = input_fingerprints(job, now)
    if new is not None:
        return [] if inputs_text(new) == record.inputs else _compare_inputs(job, json.loads(record.inputs), new)
    old = json.loads(record.inputs)
    known = {
        role: content
        for role, put in zip(job.roles, job.inputs, strict=True)
        if (content := now.get(put.path)) is not None
    }
    changed = {role: content for role, content in known.items() if old.get(role) != content}
    return _compare_inputs(job, {role: old.get(role) for role in changed}, changed)


def input_fingerprints(job: PlannedJob, now: Fingerprints) -> dict[str, str] | None:
    """The content of each input by role, or None where one is still to be built."""
    found: dict[str, str] = {}
    for role, put in zip(job.roles, job.inputs, strict=True):
        content = now.get(put.path)
        if content is None:
            return None
        found[role] = content
    return found


def inputs_text(inputs: Mapping[str, str]) -> str:
    """How a record holds the fingerprints of inputs."""
    return fingerprint.canonical(inputs)


def compare(old: Sequence[Sequence[Any]], new: Sequence[Ingredient]) -> list[Reason]:
    """One reason for each ingredient that differs, old and new values named."""
    before = {row[0]: row for row in old}
    reasons: list[Reason] = []
    for item in new:
        row = before.pop(item.where, None)
        if row is None or row[1:3] != [item.kind, item.value]:
            was = None if row is None else _shown(row)
            line, path = (item.span.line, item.span.path) if item.span else (None, "")
            reasons.append(Reason(item.kind, item.where, was, item.shown or item.value, line, path))
    for where, row in before.items():
        reasons.append(Reason(row[1], where, _shown(row), None))
    return reasons


def _shown(row: Sequence[Any]) -> Any:
    return row[3] if len(row) > 3 and row[3] is not None else row[2]


def _compare_inputs(job: PlannedJob, old: Mapping[str, str | None], new: Mapping[str, str]) -> list[Reason]:
    paths = dict(zip(job.roles, (put.path for put in job.inputs), strict=True))
    reasons = []
    for role in [*new, *(role for role in old if role not in new)]:
        before, after = old.get(role), new.get(role)
        if before != after:
            reasons.append(Reason("input", paths.get(role, role), before, after, path=paths.get(role, "")))
    return reasons
