"""Bundles: a workflow with all that a build without network needs, in one file.

    project/...      the Dreamfile, what it includes and reads, Python files, sources, Dreamfile.lock
    targets/...      targets that are up to date, as they lie in the project
    prompts/*.jsonl  the answers that these can reach (`store.answer_lines`)

Records of the build log stand in the manifest, so that what was up to date is so after an import.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dreammake.core.bundle import Exported
from dreammake.core.diagnostic import fail
from dreammake.core.secrets import SECRETS
from dreammake.plan.function_source import files_behind
from dreammake.plan.graph import normal
from dreammake.plan.plan import Plan
from dreammake.plan.ports import Record
from dreammake.plan.recipe import functions_of
from dreammake.session.caching import reach_of
from dreammake.session.pinning import outside, pinned
from dreammake.session.session import Session
from dreammake.store import files, pinned_file
from dreammake.store.answer_lines import write_answers
from dreammake.store.archive import OVERLAP, check_name, write_archive
from dreammake.store.cache_files import cache_files

KIND = "bundle"


@dataclass(slots=True)
class _Contents:
    """What is put into a bundle: a place on disk for each member."""

    members: dict[str, Path] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    answers: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def add(self, session: Session, folder: str, path: str) -> bool:
        """Add a file of the project, or a folder with all in it. False where it lies outside of the project."""
        path = normal(path)
        place = session.disk.locate(path)
        names = [f"{path}/{name}" for name in files.members(place)] if place.is_dir() else [path]
        try:
            found = {check_name(f"{folder}/{name}"): session.disk.locate(name) for name in names}
        except ValueError:
            self.left_out.append((path, "it lies outside of the project, or has a name that no bundle takes"))
            return False
        self.members |= found
        return True


def export(
    session: Session,
    file: Path,
    words: Sequence[str],
    *,
    sources: bool = True,
    targets: bool = True,
    configs: Sequence[str] = (),
) -> Exported:
    """Write a bundle of the targets behind the words (none: all) with what they are made from. Raises DreamError
    `secret-found` rather than let a key out."""
    selection = session.select_or_all(words)
    plan = session.plan(selection)
    contents = _Contents()
    code = _add_project(session, plan, contents, configs)
    if sources:
        for path in plan.graph.sources:
            if f"project/{path}" not in contents.members and contents.add(session, "project", path):
                contents.files.append(path)
    elif plan.graph.sources:
        contents.left_out += [(path, "--no-sources") for path in plan.graph.sources]
    hub = [name.rpartition("@")[0] for kind, name in outside(plan.graph) if kind == "datasets"]
    contents.left_out += [(f"hf://{name}", "it comes from the Hub") for name in hub]
    records = _add_targets(session, plan, contents) if targets else []
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / pinned_file.NAME
        lock.write_text(pinned_file.text_of(pinned(session, words)), encoding="utf-8")
        contents.members[f"project/{pinned_file.NAME}"] = lock
        contents.files.append(pinned_file.NAME)
        reach = reach_of(session, selection)
        for cache in cache_files(session.place.state / "prompts"):
            keys = None if reach.keeps(cache) else reach.keys.get(cache.path.name, set())
            if not cache.damaged and (keys is None or keys):
                _add_answers(contents, cache.path, Path(folder), keys)
        about = {
            "dreamfile": session.place.file,
            "words": list(words),
            "config": SECRETS.hide_in(dict(session.overrides)),
            "code": code,
            "environment": sorted(name for name, value in session.dreamfile.reads.environment.items() if value),
            "records": [_record(record) for record in records],
            "ingredients": {one.shared: session.log.ingredients(one.shared) or [] for one in records},
        }
        size = write_archive(file, KIND, about, contents.members, _refuse_secrets)
    return Exported(file, size, contents.files, contents.targets, contents.answers, contents.left_out)


def export_answers(file: Path, caches: Sequence[Path]) -> Exported:
    """Write a bundle of whole prompt caches and nothing else."""
    contents = _Contents()
    with tempfile.TemporaryDirectory() as folder:
        for cache in caches:
            _add_answers(contents, cache, Path(folder), None)
        size = write_archive(file, KIND, {}, contents.members, _refuse_secrets)
    return Exported(file, size, answers=contents.answers)


def _add_answers(contents: _Contents, cache: Path, folder: Path, keys: Collection[bytes] | None) -> None:
    lines = folder / f"{cache.stem}.jsonl"
    if count := write_answers(cache, lines, keys):
        contents.answers += count
        contents.members[f"prompts/{lines.name}"] = lines


def _add_project(session: Session, plan: Plan, contents: _Contents, configs: Sequence[str]) -> list[str]:
    """Add what is read to plan and to run; gives what a build runs of it."""
    dreamfile = session.dreamfile
    code: dict[str, None] = {}
    for rule in {job.rule.name: job.rule for job in plan.graph.jobs}.values():
        for step in rule.steps:
            for reference, _ in functions_of(step):
                code |= dict.fromkeys(files_behind(session.place.root, reference))
            if step.word == "shell":
                code[f"the command of {rule.name}"] = None
    python = [path for path in code if session.disk.signature(path) is not None]
    paths = [*(source.path for source in dreamfile.sources), *dreamfile.reads.files, *python, *configs]
    for path in dict.fromkeys(paths):
        if path not in plan.graph.makers and contents.add(session, "project", path):
            contents.files.append(path)
    if f"project/{session.place.file}" not in contents.members:
        fail("outside-project", f"`{session.place.file}` lies outside of the project", hint="check -C and -f")
    return list(code)


def _add_targets(session: Session, plan: Plan, contents: _Contents) -> list[Record]:
    """Add the targets that are up to date; gives their records."""
    records = []
    for verdict in plan.verdicts.values():
        if verdict.action != "fresh" or verdict.record is None:
            contents.left_out.append((verdict.job.id, "it is not built, or not up to date"))
            continue
        there = [put.path for put in verdict.job.outputs if session.disk.signature(put.path) is not None]
        added = [contents.add(session, "targets", path) for path in there]
        if all(added):
            contents.targets += there
            records.append(verdict.record)
    return records


def _record(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "rule": record.rule,
        "shared": record.shared,
        "own": record.own,
        "inputs": record.inputs,
        "outputs": [[output.path, output.fingerprint] for output in record.outputs],
        "built_at": record.built_at,
        "seconds": record.seconds,
        "facts": dict(record.facts),
    }


def _refuse_secrets(name: str, piece: bytes) -> None:
    """Raise DreamError where a piece of a member holds a key or a token of this environment. Pieces overlap by less
    than a very long one, which is found by its beginning."""
    for shown, value in SECRETS.sure():
        if value[:OVERLAP] in piece:
            hint = "keep it in the environment alone, and read it there with env(); what holds it must be made anew"
            fail("secret-found", f"{name} holds the value of {shown}", hint=hint, exit_code=1)
