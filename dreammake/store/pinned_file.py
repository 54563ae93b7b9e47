"""`Dreamfile.lock`: what a workflow is, as JSON with a line for each target, so that two versions of it compare line by
line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from dreammake.core.diagnostic import fail
from dreammake.plan.pinned import Pin, Pinned
from dreammake.store.files import writing

NAME = "Dreamfile.lock"
VERSION = 1


def write_pinned(pinned: Pinned, path: Path) -> bool:
    """Write the lock, whole or not at all. False where it says the same already. Raises DreamError."""
    text = text_of(pinned)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with writing(path):
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    return True


def text_of(pinned: Pinned) -> str:
    """Targets sorted by path; the same workflow gives the same text on every machine but for its versions."""
    targets = {
        target: {"fingerprint": pin.fingerprint, "recipe": pin.shared, "own": pin.own, "inputs": dict(pin.inputs)}
        for target, pin in sorted(pinned.targets.items())
    }
    parts = [
        f'"version": {VERSION}',
        f'"words": {json.dumps(list(pinned.words), ensure_ascii=False)}',
        f'"versions": {_lines(sorted(pinned.versions.items()))}',
        f'"revisions": {_lines(sorted(pinned.revisions.items()))}',
        f'"targets": {_lines(targets.items())}',
        f'"recipes": {_lines(sorted(pinned.ingredients.items()))}',
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read_pinned(path: Path) -> Pinned:
    """The lock of a project. Raises DreamError `no-lock-file`, `bad-lock-file`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            _bad(path, f"it is of version {data['version']}, and this dreammake reads version {VERSION}")
        targets = {
            str(target): Pin(str(one["fingerprint"]), one["recipe"], _rows(one["own"]), dict(one["inputs"]))
            for target, one in data["targets"].items()
        }
        recipes = {digest: _rows(rows) for digest, rows in data["recipes"].items()}
        return Pinned(tuple(data["words"]), targets, recipes, dict(data["versions"]), dict(data["revisions"]))
    except FileNotFoundError:
        fail("no-lock-file", f"there is no {path.name} here", hint="`dreammake lock` writes it")
    except OSError as error:
        fail("unreadable-file", f"{path.name} cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        _bad(path, "it is not what `dreammake lock` writes")


def _rows(rows: Any) -> list[list[Any]]:
    return [[where, kind, value, shown] for where, kind, value, shown in rows]


def _bad(path: Path, how: str) -> NoReturn:
    fail("bad-lock-file", f"{path.name} cannot be used: {how}", hint="write it anew: dreammake lock")


def _lines(items: Iterable[tuple[str, Any]]) -> str:
    lines = [f"  {_one(name)}: {_one(value)}" for name, value in items]
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"


def _one(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
