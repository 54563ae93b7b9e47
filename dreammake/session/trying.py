"""A canary: the chain behind a target on a few rows, in a folder of its own, with the answers of the real build.

What is built lies below `.dreammake/try/N/`, laid out as the project is: sources are linked there, targets are made
there. Prompt caches are the project's own, so no answer is paid for twice.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import fail
from dreammake.core.job import Job, StepCall
from dreammake.plan.graph import Graph
from dreammake.session.place import Place

TRAINING_STEPS = 2
_LEFT_OUT = {"__pycache__", "node_modules", "venv"}


def trial_place(place: Place, graph: Graph, rows: int) -> Place:
    """A copy of the project without its targets: folders are made, files are linked."""
    root = place.state / "try" / str(rows)
    root.mkdir(parents=True, exist_ok=True)
    targets = set(graph.makers)
    above = {str(folder) for target in targets for folder in Path(target).parents}
    _mirror(place.root, root, "", targets, above, place.state)
    state = root / ".dreammake"
    state.mkdir(exist_ok=True)
    prompts = place.state / "prompts"
    prompts.mkdir(exist_ok=True)
    if not (state / "prompts").exists():
        (state / "prompts").symlink_to(os.path.relpath(prompts, state), target_is_directory=True)
    return Place(root, place.file, state)


def _mirror(
    there: Path, here: Path, prefix: str, targets: Collection[str], above: Collection[str], state: Path
) -> None:
    """Bring a folder up to date with the project's: what is gone there goes here, what is new is linked."""
    wanted = {}
    for entry in os.scandir(there):
        path = prefix + entry.name
        hidden = entry.name.startswith(".") or entry.name in _LEFT_OUT or Path(entry.path) == state
        if not hidden and path not in targets:
            wanted[entry.name] = entry
    for entry in list(os.scandir(here)):
        path = prefix + entry.name
        if entry.name not in wanted and path not in targets and path not in above and entry.name != ".dreammake":
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
    for name, entry in wanted.items():
        copy = here / name
        if entry.is_dir():
            copy.mkdir(exist_ok=True)
            _mirror(Path(entry.path), copy, f"{prefix}{name}/", targets, above, state)
        elif not (copy.exists() and os.path.samefile(copy, entry.path)):
            copy.unlink(missing_ok=True)
            _link(entry.path, copy)


def _link(source: str, copy: Path) -> None:
    """A hard link, as a symbolic one would lead out of the folder; a copy where the disk is another one."""
    try:
        os.link(os.path.realpath(source), copy)
    except OSError:
        shutil.copy2(source, copy)


def trial_of(job: Job, rows: int, makers: Collection[str]) -> Job:
    """The job on at most so many rows, and with few training steps. Rows that a target brings are few already.

    Raises DreamError where a step cannot be tried without being paid for."""
    steps = list(job.steps)
    if not steps:
        return job
    first = Catalog().find("steps", steps[0].step)
    if steps[0].step == "generate":
        count = steps[0].options.get("count")
        steps[0] = replace(steps[0], options={**steps[0].options, "count": rows if count is None else min(count, rows)})
    elif first.source:
        steps.insert(1, StepCall("take", None, {"count": rows}))
    elif first.makes != "file" and any(put.path not in makers for put in job.inputs):
        steps.insert(0, StepCall("take", None, {"count": rows}))
    steps = [_short(call) if call.step == "train" else call for call in steps]
    return replace(job, steps=tuple(steps))


def _short(call: StepCall) -> StepCall:
    declared = Catalog().find("steps", "train").options_for(call.name).declared()
    if "max_steps" not in declared:
        hint = "try what it learns from: dreammake try TARGET, with the dataset's name"
        fail("cannot-try", f"`train {call.name}` has no steps to cut short, so it is not tried", hint=hint)
    return replace(call, options={**call.options, "max_steps": TRAINING_STEPS})
