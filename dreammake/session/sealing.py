"""Seals a verdict of "nothing to do" with all that it depends on (`store.seal`)."""

from __future__ import annotations

import os
from pathlib import Path

from dreammake.plan.plan import Plan
from dreammake.plan.recipe import functions_of
from dreammake.session.session import Session
from dreammake.store import seal as seal_file


def seal(session: Session, plan: Plan, seal_path: str, key: str) -> None:
    """Write the seal of a plan with nothing to do, valid for the command line that `key` stands for. There is none
    while rows failed: the next build tries them again."""
    if any(verdict.record is not None and verdict.record.facts.get("retry_rows") for verdict in plan.verdicts.values()):
        return
    dreamfile = session.dreamfile
    paths = [source.path for source in dreamfile.sources]
    paths += [path for path in dreamfile.reads.files if path not in paths]
    for rule in {job.rule.name: job.rule for job in plan.graph.jobs}.values():
        for step in rule.steps:
            for reference, _ in functions_of(step):
                named = {name.split(":")[0] for name in session.disk.function(reference)}
                paths += [path for path in sorted(named) if path not in paths]
    seen = dict.fromkeys([*paths, *plan.graph.makers, *plan.graph.sources])
    files, folders = [], {}
    for path in seen:
        place = session.disk.locate(path)
        if place.is_dir():
            folders[path] = session.disk.signature(path) or ""
        elif os.path.exists(place):
            files.append(path)
    seal_file.write(
        Path(seal_path),
        key,
        files,
        folders,
        session.disk.globs,
        dreamfile.reads.environment,
        session.place.root,
        {"fresh": len(plan.verdicts)},
    )
