"""What `dreammake publish` is asked to send, and where to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dreammake.core.diagnostic import fail
from dreammake.core.job import Put
from dreammake.core.spelling import did_you_mean
from dreammake.hub.repository import MAIN, Kind, Repository
from dreammake.plan.graph import PlannedJob, normal
from dreammake.plan.plan import Plan
from dreammake.session.session import Session

ONLY_SPLIT = "train"
"""The split of a dataset that its rule gives no name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line names: a job of a plan, whose outputs are published together."""

    plan: Plan
    job: PlannedJob

    @property
    def stale(self) -> list[str]:
        return [verdict.job.id for verdict in self.plan.todo]


def find(session: Session, target: str) -> Wanted:
    """The job that makes a target. Raises DreamError where nothing is there to publish."""
    plan = session.plan(session.select([target]))
    word = normal(target)
    rule = session.dreamfile.rules.get(word)
    if rule is not None and not rule.outputs:
        outputs = sorted({put.path for job in plan.graph.jobs for put in job.outputs})
        hint = f"name one target: {', '.join(outputs[:3])}" if outputs else ""
        fail("unknown-target", f"the rule `{word}` makes nothing of its own", hint=hint)
    paths = {put.path: job for job in plan.graph.jobs for put in job.outputs}
    found = [job for path, job in paths.items() if word in (path, job.rule.name)]
    if not found:
        fail("unknown-target", f"no rule makes `{word}`: it is a source", hint=did_you_mean(word, paths))
    return Wanted(plan, found[-1])


def repository_of(
    session: Session, wanted: Wanted, to: str | None, revision: str | None, *, pull_request: bool = False
) -> Repository:
    """Where a job's outputs go: `to`, or `publish:` of its rule. Raises DreamError `no-repo-name`."""
    name = to or wanted.job.setting("publish")
    if not name:
        fail(
            "no-repo-name",
            f"it is not said where `{wanted.job.id}` goes",
            wanted.job.rule.span,
            hint='say it here: --to org/name; or in the rule: publish: "org/name"',
        )
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        fail("bad-repo-name", f"`{name}` is no name of a repository", hint="write it as org/name: --to me/tweets")
    return Repository(name, kind_of(session, wanted.job), revision or MAIN, pull_request=pull_request)


def kind_of(session: Session, job: PlannedJob) -> Kind:
    """`dataset` or `model`: what the outputs of a job are, once they are built. Raises DreamError `wrong-kind`,
    `bad-name`."""
    kinds = {session.disk.kind(put.path) or put.kind or "file" for put in job.outputs}
    if kinds == {"dataset"} or (kinds == {"model"} and len(job.outputs) == 1):
        if kinds == {"dataset"}:
            splits_of(job)
            return "dataset"
        return "model"
    if len(job.outputs) > 1:
        message, hint = (
            f"`{job.rule.name}` makes several targets that are not all datasets",
            "give each a rule of its own",
        )
    else:
        message = f"`{job.id}` is neither a dataset nor a model"
        hint = "publish a target that is: `load:` makes a dataset of a file"
    fail("wrong-kind", message, job.rule.span, hint=hint)


def splits_of(job: PlannedJob) -> dict[str, Put]:
    """The outputs of a job by the names of their splits. Raises DreamError `bad-name` for one that the Hub cannot
    have."""
    found: dict[str, Put] = {}
    for put in job.outputs:
        name = put.name or ONLY_SPLIT
        if name in found or not re.fullmatch(r"\w+(\.\w+)*", name):
            hint = "give every output a name of letters and digits: `train`, `eval`"
            fail("bad-name", f"`{put.path}` has no name for a split of its own", job.rule.span, hint=hint)
        found[name] = put
    return found
