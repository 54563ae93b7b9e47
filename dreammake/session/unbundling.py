"""Imports a bundle: all of it is data, unpacked aside, verified, and only then put in place."""

from __future__ import annotations

import dataclasses
import filecmp
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from dreammake.core.bundle import Imported
from dreammake.core.diagnostic import fail
from dreammake.plan.ports import OutputRecord, Record
from dreammake.plan.recipe import Ingredient, Shared
from dreammake.run.perform import remove, replace
from dreammake.session.bundling import KIND
from dreammake.session.locking import locked
from dreammake.session.session import Session
from dreammake.store import files
from dreammake.store.answer_lines import NAME, take_answers
from dreammake.store.archive import check_name, unpack
from dreammake.store.previous import keep_previous


@dataclass(slots=True)
class _Unpacked:
    """What a bundle brings: by path in the project where it lies unpacked; targets with their records."""

    files: dict[str, Path] = field(default_factory=dict)
    targets: dict[str, Path] = field(default_factory=dict)
    caches: dict[str, Path] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    ingredients: dict[str, Shared] = field(default_factory=dict)


def import_bundle(session: Session, file: Path, *, overwrite: bool = False) -> Imported:
    """Put a bundle into the project's folder; nothing in it is run. What is there and holds something else is an error,
    or overwritten. Raises DreamError `bad-bundle`, `file-exists`, `outside-project`."""
    state = session.place.state
    with locked(session):
        aside = state / "tmp" / f"import-{os.getpid()}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            manifest = unpack(file, KIND, aside)
            try:
                found = _read(manifest, aside)
                _verify(found)
                told = _told(manifest["about"], session.environment)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                _bad(file, str(error) if type(error) is ValueError else "its manifest is none")
            same, other = _compare(session, found)
            if other and not overwrite:
                shown = ", ".join(other[:5]) + (f" and {len(other) - 5} more" if len(other) > 5 else "")
                hint = "import into an empty folder with -C DIR, or take what the bundle has with --overwrite"
                fail("file-exists", f"these are there already, and hold something else: {shown}", hint=hint)
            came, new = _take_caches(found, state / "prompts", file)
            _put(session, found, same)
            _record(session, found)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return Imported(file, list(found.files), list(found.targets), same, other, came, new, **told)


def _read(manifest: Mapping[str, Any], aside: Path) -> _Unpacked:
    """Sort the members. Raises ValueError, KeyError, TypeError for what makes no sense."""
    found, about = _Unpacked(), manifest["about"]
    for one in about.get("records", ()):
        outputs = tuple(OutputRecord(check_name(path), str(content), "") for path, content in one["outputs"])
        target, rule, shared, own, inputs = (str(one[name]) for name in ("id", "rule", "shared", "own", "inputs"))
        times = float(one["built_at"]), float(one["seconds"])
        found.records.append(Record(target, rule, shared, own, inputs, outputs, *times, dict(one["facts"])))
    for digest, rows in about.get("ingredients", {}).items():
        items = tuple(Ingredient(where, kind, value, None, shown) for where, kind, value, shown in rows)
        found.ingredients[str(digest)] = Shared(items, str(digest))
    outputs_of = {output.path for record in found.records for output in record.outputs}
    for name, _, _ in manifest["members"]:
        folder, _, path = name.partition("/")
        match folder:
            case "project":
                found.files[path] = aside / name
            case "targets":
                targets = [above for above in _with_parents(path) if above in outputs_of]
                if not targets:
                    raise ValueError(f"no record tells of its target {path}")
                found.targets[targets[0]] = aside / "targets" / targets[0]
            case "prompts" if NAME.fullmatch(f"{path.removesuffix('.jsonl')}.sqlite") and path.endswith(".jsonl"):
                found.caches[f"{path.removesuffix('.jsonl')}.sqlite"] = aside / name
            case _:
                raise ValueError(f"it holds a file named {name!r}")
    return found


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _verify(found: _Unpacked) -> None:
    """Every target holds what its record says, and every record is about targets. Raises ValueError."""
    for record in found.records:
        if record.shared not in found.ingredients:
            raise ValueError(f"it does not say what {record.id} was made from")
        for output in record.outputs:
            place = found.targets.get(output.path)
            if place is not None and files.fingerprint_path(place) != output.fingerprint:
                raise ValueError(f"{output.path} does not hold what its record says")
    paths = {*found.files, *found.targets}
    if len(paths) < len(found.files) + len(found.targets) or any(
        above in paths for path in paths for above in _with_parents(path)[:-1]
    ):
        raise ValueError("two of its files have one place")


def _told(about: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """What a bundle says for people."""
    unset = [str(name) for name in about.get("environment", ()) if str(name) not in environment]
    lists = {name: [str(one) for one in about.get(name, ())] for name in ("code", "words")}
    return {
        **lists,
        "unset": unset,
        "config": dict(about.get("config", {})),
        "dreamfile": str(about.get("dreamfile", "")),
    }


def _compare(session: Session, found: _Unpacked) -> tuple[list[str], list[str]]:
    """What is there and holds the same, and what holds something else. Raises DreamError for a place outside."""
    same: list[str] = []
    other: list[str] = []
    root = session.place.root.resolve()
    for path, made in {**found.files, **found.targets}.items():
        place = session.place.root / path
        if not place.parent.resolve().is_relative_to(root) or place.is_symlink():
            fail("outside-project", f"`{path}` leads out of the project: there is a link on the way")
        if place.resolve().is_relative_to(session.place.state.resolve()) or path.split("/")[0] == ".dreammake":
            fail("outside-project", f"`{path}` lies where dreammake keeps its state")
        if not os.path.lexists(place):
            continue
        is_target = path in found.targets and made.is_dir() == place.is_dir()
        equal = (
            files.fingerprint_path(place) == files.fingerprint_path(made)
            if is_target
            else place.is_file() and filecmp.cmp(made, place, shallow=False)
        )
        (same if equal else other).append(path)
    return same, other


def _take_caches(found: _Unpacked, prompts: Path, file: Path) -> tuple[int, int]:
    came = new = 0
    for name, lines in sorted(found.caches.items()):
        try:
            one = take_answers(lines, prompts / name)
        except (ValueError, RecursionError) as error:
            _bad(file, str(error) if type(error) is ValueError else f"the answers in {lines.name} are no JSON")
        came, new = came + one[0], new + one[1]
    return came, new


def _put(session: Session, found: _Unpacked, same: Sequence[str]) -> None:
    contents = {output.path: output.fingerprint for record in found.records for output in record.outputs}
    for path, made in {**found.files, **found.targets}.items():
        if path not in same:
            state, content = session.place.state, contents.get(path, "")
            old = partial(keep_previous, state=state, target=path, content=content, remove=remove)
            replace(made, session.place.root / path, state / "tmp", made.is_dir(), old)


def _record(session: Session, found: _Unpacked) -> None:
    """What came with a record is up to date. No record is taken of what the bundle does not bring and the project has:
    `clean` would remove it."""
    ended = []
    for record in found.records:
        absent = [output.path for output in record.outputs if output.path not in found.targets]
        if any(os.path.lexists(session.place.root / path) for path in absent):
            continue
        outputs = tuple(
            OutputRecord(one.path, one.fingerprint, files.signature(session.place.root / one.path) or "")
            for one in record.outputs
        )
        ended.append((dataclasses.replace(record, outputs=outputs), found.ingredients[record.shared], None))
    session.log.put(ended)


def _bad(file: Path, how: str) -> NoReturn:
    fail("bad-bundle", f"{file.name} cannot be used: {how}", hint="ask for the file anew", exit_code=1)
