"""The plan: every job of a graph judged against what is on disk, roots apart from what follows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dreammake.plan.graph import Graph, PlannedJob
from dreammake.plan.ports import BuildLog, Disk, OutputRecord, Record
from dreammake.plan.stale import Reason, judge, judge_inputs

Action = Literal["build", "follow", "fresh"]


@dataclass(slots=True, eq=False)
class Verdict:
    """What happens to one job. `build`: it has a reason of its own; `follow`: only its inputs will change;
    `fresh`: nothing to do."""

    job: PlannedJob
    action: Action
    reasons: list[Reason] = field(default_factory=list)
    record: Record | None = None


@dataclass(slots=True)
class Plan:
    """Verdicts in build order. `contents` are the fingerprints of all paths that are what they will be."""

    graph: Graph
    verdicts: dict[str, Verdict]
    contents: dict[str, str | None]
    touched: dict[str, OutputRecord] = field(default_factory=dict)
    """Outputs whose files were touched but hold the same: their new signatures are worth recording."""

    def of(self, action: Action) -> list[Verdict]:
        return [verdict for verdict in self.verdicts.values() if verdict.action == action]

    @property
    def todo(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts.values() if verdict.action != "fresh"]


def make_plan(
    graph: Graph,
    disk: Disk,
    log: BuildLog,
    forced: Collection[str] = (),
    *,
    retry: Callable[[str], bool] = lambda target: True,
    made: Collection[str] = (),
) -> Plan:
    """Judge every job, in order: its outputs, its recipe, its inputs, and whether `retry` says that rows of its target
    which failed in an earlier build are tried again. What was just `made` of this graph has its recipe."""
    plan = Plan(graph, {}, {})
    records: Mapping[str, Record] = log.records()
    for job in graph.jobs:
        verdict = _judge(plan, job, records.get(job.id), disk, log, forced, retry, made)
        plan.verdicts[job.id] = verdict
        fresh = verdict.action == "fresh"
        for put in job.outputs:
            plan.contents[put.path] = recorded_content(verdict.record, put.path) if fresh else None
    _spare_unneeded(plan)
    return plan


def _judge(
    plan: Plan,
    job: PlannedJob,
    record: Record | None,
    disk: Disk,
    log: BuildLog,
    forced: Collection[str],
    retry: Callable[[str], bool],
    made: Collection[str],
) -> Verdict:
    for path in _sources(job, plan):
        plan.contents[path] = disk.fingerprint(path)
    reasons = [Reason("forced")] if job.id in forced else []
    reasons += _output_reasons(plan, job, record, disk)
    # What is missing needs no comparison: it has no record, or its record says what is gone.
    if record is not None:
        known = job.id in made
        reasons += (
            judge_inputs(job, record, plan.contents) if known else judge(plan.graph, job, record, plan.contents, log)
        )
        failed = record.facts.get("retry_rows")
        if failed and not reasons and retry(job.id):
            span = job.rule.span
            reasons.append(Reason("failed-rows", job.id, old=failed, path=span.path, line=span.line))
    if reasons:
        action: Action = "build"
    else:
        action = "fresh" if all(plan.verdicts[need.id].action == "fresh" for need in job.needs) else "follow"
    if action != "fresh":
        for need in job.needs:
            if plan.verdicts[need.id].action != "fresh":
                reasons.append(Reason("input-will-change", need.id, path=need.id))
    return Verdict(job, action, reasons, record)


def _sources(job: PlannedJob, plan: Plan) -> Iterable[str]:
    for put in job.inputs:
        if put.path not in plan.contents and put.path not in plan.graph.makers:
            yield put.path


def _output_reasons(plan: Plan, job: PlannedJob, record: Record | None, disk: Disk) -> list[Reason]:
    """Outputs that are missing, or not what the job left."""
    if record is None:
        return [Reason("missing", job.id, path=job.rule.span.path, line=job.rule.span.line)]
    was = {output.path: output for output in record.outputs}
    reasons = []
    for put in job.outputs:
        old = was.get(put.path)
        signature = disk.signature(put.path)
        if signature is None or old is None:
            if not _is_temp(job, put.path) or old is None:
                span = job.rule.span
                was_there = old.fingerprint if old is not None else None
                reasons.append(Reason("missing", put.path, was_there, path=span.path, line=span.line))
            continue
        if signature == old.signature:
            continue
        content = disk.fingerprint(put.path)
        if content != old.fingerprint:
            reasons.append(Reason("output-changed", put.path, old.fingerprint, content, path=put.path))
        else:
            plan.touched[put.path] = OutputRecord(put.path, content, signature)
    return reasons


def _is_temp(job: PlannedJob, path: str) -> bool:
    return any(declared.temp and put.path == path for declared, put in zip(job.rule.outputs, job.outputs, strict=True))


def _spare_unneeded(plan: Plan) -> None:
    """A removed `temp` target is made again only where somebody who must run reads it."""
    for verdict in reversed(plan.verdicts.values()):
        if verdict.action != "fresh":
            continue
        gone = [
            put.path
            for put in verdict.job.outputs
            if _is_temp(verdict.job, put.path) and plan.graph.disk.signature(put.path) is None
        ]
        if gone and any(plan.verdicts[job.id].action != "fresh" for job in verdict.job.needed_by):
            verdict.action = "build"
            span = verdict.job.rule.span
            verdict.reasons = [Reason("missing", path, path=span.path, line=span.line) for path in gone]
            plan.contents |= dict.fromkeys(gone)


def recorded_content(record: Record | None, path: str) -> str | None:
    """The fingerprint that a record has of an output."""
    for output in record.outputs if record else ():
        if output.path == path:
            return output.fingerprint
    return None


def revisions(plan: Plan) -> dict[str, str]:
    """The commits to which builds pinned revisions on a hub (`hf://org/name@main`). What is forced looks again."""
    found: dict[str, str] = {}
    for verdict in plan.verdicts.values():
        if verdict.record is not None and not any(reason.kind == "forced" for reason in verdict.reasons):
            found |= verdict.record.facts.get("revisions", {})
    return found
