"""The seal of a build that had nothing to do: everything its verdict depends on, with its stat signature.

While all of it is as it was, the verdict stands, and the next run says so without reading the Dreamfile. This is
sound because a plan is a function of the texts, the command line, the environment and the disk; it is checked, never
trusted. Anything else than equality means: plan.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SEAL_VERSION = 1


def key_of(program: str, targets: Sequence[str], settings: Mapping[str, Any]) -> str:
    """What a seal is valid for: the program's version, the targets asked for, the settings given."""
    return hashlib.sha256(
        json.dumps([SEAL_VERSION, program, list(targets), settings], sort_keys=True).encode()
    ).hexdigest()


def write(
    path: Path,
    key: str,
    files: Sequence[str],
    folders: Mapping[str, str],
    globs: Mapping[str, Sequence[str]],
    environment: Mapping[str, str | None],
    root: Path,
    facts: Mapping[str, Any],
) -> None:
    """Keep the seal. `files` are plain files; `folders` are targets and sources that are folders, with their
    signatures. Of environment variables only a digest is kept."""
    marks = []
    for name in files:
        stat = os.stat(os.path.join(root, name))
        marks.append([stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino])
    document = {
        "key": key,
        "files": list(files),
        "marks": marks,
        "folders": dict(folders),
        "globs": {pattern: list(found) for pattern, found in globs.items()},
        "environment": {name: _digest(value) for name, value in environment.items()},
        "facts": dict(facts),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document))
    os.replace(temporary, path)


def check(path: str, key: str, root: str, environment: Mapping[str, str]) -> dict[str, Any] | None:
    """The facts of the sealed verdict if it still stands, else None."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        if document["key"] != key:
            return None
        stat = os.stat
        prefix = root + os.sep
        for name, mark in zip(document["files"], document["marks"], strict=True):
            now = stat(name if name[0] == "/" else prefix + name)
            if [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino] != mark:
                return None
        for name, value in document["environment"].items():
            if _digest(environment.get(name)) != value:
                return None
        if document["folders"]:
            from dreammake.store.files import signature

            for name, mark in document["folders"].items():
                if signature(os.path.join(root, name)) != mark:
                    return None
        for pattern, found in document["globs"].items():
            if sorted(_matches(pattern, root)) != found:
                return None
        return document["facts"]  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _matches(pattern: str, root: str) -> list[str]:
    import glob

    found = glob.glob(pattern, root_dir=root, recursive=True)
    return [path.rstrip("/") for path in found if not path.startswith(".dreammake")]


def _digest(value: str | None) -> str | None:
    return None if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:16]
