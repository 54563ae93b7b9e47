"""The pools of this machine, and what a plan wants of them that they do not have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.plan.plan import Plan
from dreammake.plan.pool import Pools
from dreammake.plan.resources import wants_of


def pools_here(cpus: int | None, own: Mapping[str, int], executor: Any) -> Pools:
    """What jobs may take: so many CPUs (None: all), the memory, the GPUs, as many machines as the executor's class
    says (a plug-in may say nothing), and the user's own pools."""
    nodes = getattr(executor, "nodes", 1)
    return Pools(cpus or len(os.sched_getaffinity(0)), _memory(), _gpus(), nodes, own)


def check_pools(plan: Plan, pools: Pools) -> None:
    """Raises DreamError for the first job that could never start."""
    for verdict in plan.todo:
        pools.check(wants_of(verdict.job), verdict.job.id, verdict.job.rule.span)


def shortages(plan: Plan, pools: Pools) -> Sequence[Diagnostic]:
    """The same as warnings, one a rule: a dry run may be made on another machine than the build."""
    found: dict[str, Diagnostic] = {}
    for verdict in plan.todo:
        try:
            pools.check(wants_of(verdict.job), verdict.job.id, verdict.job.rule.span)
        except DreamError as error:
            found.setdefault(verdict.job.rule.name, replace(error.diagnostics[0], severity="warning"))
    return [*found.values()]


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpus() -> tuple[str, ...]:
    """Ids of the GPUs this build may use: CUDA_VISIBLE_DEVICES, or all devices that the driver shows."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return tuple(part for part in given.split(",") if part.strip() and part.strip() != "-1")
    return tuple(sorted(path.name[6:] for path in Path("/dev").glob("nvidia[0-9]*")))
