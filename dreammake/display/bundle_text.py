"""What went into a bundle, and what came out of one, in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from dreammake.core.bundle import Exported, Imported
from dreammake.display.amounts import count, size
from dreammake.display.cells import one_line

LISTED = 10
"""Names that are listed; the others are counted."""


def draw_exported(found: Exported) -> str:
    """`wrote bundle.tar.zst (1.2 MB): 4 files, 5 targets, 1,000 answers`, and what is not in it."""
    lines = [f"wrote {found.file} ({size(found.size)}): {_amounts(found.files, found.targets, found.answers)}"]
    reasons: dict[str, list[str]] = {}
    for what, why in found.left_out:
        reasons.setdefault(why, []).append(what)
    lines += [f"not in it: {_names(names)} ({why})" for why, names in reasons.items()]
    return "\n".join(lines)


def draw_imported(found: Imported) -> str:
    """What came, what was overwritten, what code it brings, and how to build it."""
    lines = [f"imported {found.file.name}: {_amounts(found.files, found.targets, found.answers)}"]
    if found.answers:
        lines[0] += f" ({found.new_answers:,} new)"
    if found.same:
        lines.append(f"the same as before: {_names(found.same)}")
    if found.overwritten:
        lines.append(f"overwritten: {_names(found.overwritten)}")
    if found.code:
        lines.append(f"a build of it runs code: {_names(found.code)}; read it first")
    if found.unset:
        lines.append(f"its Dreamfile reads variables that are not set here: {_names(found.unset)}")
    if found.files:
        named = [] if found.dreamfile == "Dreamfile" else ["-f", found.dreamfile]
        given = [word for name, value in found.config.items() for word in ("--config", f"{name}={_value(value)}")]
        lines.append("next: " + shlex.join(["dreammake", *(found.words or ["all"]), "--offline", *named, *given]))
    return "\n".join(map(one_line, lines))


def exported_json(found: Exported) -> dict[str, Any]:
    """The same for programs."""
    return {
        "file": str(found.file),
        "size": found.size,
        "files": list(found.files),
        "targets": list(found.targets),
        "answers": found.answers,
        "left_out": [{"what": what, "why": why} for what, why in found.left_out],
    }


def imported_json(found: Imported) -> dict[str, Any]:
    """The same for programs."""
    return {
        "file": str(found.file),
        "files": list(found.files),
        "targets": list(found.targets),
        "same": list(found.same),
        "overwritten": list(found.overwritten),
        "answers": found.answers,
        "new_answers": found.new_answers,
        "code": list(found.code),
        "unset": list(found.unset),
        "words": list(found.words),
        "config": dict(found.config),
        "dreamfile": found.dreamfile,
    }


def _amounts(files: Sequence[str], targets: Sequence[str], answers: int) -> str:
    amounts = ((len(files), "file"), (len(targets), "target"), (answers, "answer"))
    return ", ".join(count(number, noun) for number, noun in amounts if number) or "nothing"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _value(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
