"""How a workflow differs from its lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dreammake.display.amounts import count
from dreammake.display.cells import one_line, pad
from dreammake.display.plan_json import reason_json
from dreammake.display.reasons import details, headline
from dreammake.display.style import Style
from dreammake.plan.pinned import Difference

Versions = Mapping[str, tuple[str | None, str | None]]
"""By name: what the lock says, and what is here."""

_COLOURS = {"added": "green", "removed": "red", "changed": "yellow", "follows": "cyan"}
_WORDS = {"changed": "changed", "follows": "follow", "added": "added", "removed": "removed"}


def draw_differences(found: Sequence[Difference], targets: int, versions: Versions, style: Style) -> str:
    """A line a target that differs, below it the ingredients; then libraries of other versions, and the sum."""
    room = min(max((len(one.target) for one in found), default=0), 48)
    lines = [line for one in found for line in _target(one, room, style)]
    for name, (was, here) in versions.items():
        lines.append(f"note: {name} is {here or 'not here'}, and was {was or 'not there'} when the lock was written")
    if not found:
        return "\n".join([*lines, f"the lock holds ({count(targets, 'target')})"])
    sums = [(sum(one.kind == kind for one in found), word) for kind, word in _WORDS.items()]
    tally = ", ".join(f"{number:,} {word}" for number, word in sums if number)
    return "\n".join([*lines, "", f"the lock does not hold: {tally}"])


def _target(one: Difference, room: int, style: Style) -> list[str]:
    roots = [reason for reason in one.reasons if reason.root]
    behind = [reason.where for reason in one.reasons if not reason.root]
    told = [one_line(headline(reason)) for reason in roots]
    if one.kind == "follows":
        told = [f"from {', '.join(behind[:3])}{', …' if len(behind) > 3 else ''}"]
    head = f"{style.paint(f'{one.kind:<7}', _COLOURS[one.kind])}  {pad(one.target, room)}"
    lines = [f"{head}  {told[0]}" if told else head.rstrip()]
    indent = " " * (room + 11)
    for number, reason in enumerate(roots):
        if number:
            lines.append(indent + told[number])
        for sign, text in details(reason)[:20]:
            lines.append(indent + style.paint(f"{sign} {one_line(text)}", "red" if sign == "-" else "green"))
    return lines


def differences_document(found: Sequence[Difference], targets: int, versions: Versions) -> dict[str, Any]:
    """The same for programs."""
    return {
        "holds": not found,
        "targets": targets,
        "differences": [
            {"target": one.target, "kind": one.kind, "reasons": [reason_json(reason) for reason in one.reasons]}
            for one in found
        ],
        "versions": {name: {"lock": was, "here": here} for name, (was, here) in versions.items()},
    }
