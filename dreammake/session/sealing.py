"""Seals a verdict of "nothing to do" with all that it depends on (`store.seal`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dreammake.plan.plan import Plan
from dreammake.plan.recipe import function_of
from dreammake.session.session import Session
from dreammake.store import seal as seal_file

if TYPE_CHECKING:
    from dreammake.session.building import BuildOptions


def seal(session: Session, options: BuildOptions, plan: Plan) -> None:
    """Write the seal."""
    if not options.seal_path:
        return
    dreamfile = session.dreamfile
    paths = [source.path for source in dreamfile.sources]
    paths += [path for path in dreamfile.reads.files if path not in paths]
    for job in plan.graph.jobs:
        for step in job.rule.steps:
            reference = function_of(step)
            if reference is not None:
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
        Path(options.seal_path),
        options.seal_key,
        files,
        folders,
        session.disk.globs,
        dreamfile.reads.environment,
        session.place.root,
        {"fresh": len(plan.verdicts)},
    )
