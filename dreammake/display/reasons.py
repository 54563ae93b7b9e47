"""The words for why a target is stale."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

from dreammake.display.amounts import count
from dreammake.plan.stale import Reason

_OUTPUT_MARK = re.compile("'?\ue000\\d+\ue001'?")
"""What stands for an output in a command (`plan.graph.output_mark`)."""
_TOLD_IN_FULL = frozenset(
    ("missing", "forced", "failed-rows", "output-changed", "input-will-change", "input", "function", "step-version")
)
"""Kinds of reason of which the headline says all."""
SHORT = 48
"""Values up to this many characters stand on the reason's own line."""


def headline(reason: Reason) -> str:
    """One line: `missing`, `prompt tweet.prompt changed`, `data/raw.csv changed`, `take: 10 -> 20`."""
    match reason.kind:
        case "missing":
            return "missing" if reason.old is None else "missing: deleted since it was built"
        case "forced":
            return "forced"
        case "failed-rows":
            return f"{count(reason.old, 'row')} failed and will be tried again"
        case "output-changed":
            return "changed by hand"
        case "input-will-change":
            return f"{reason.where} will be built"
        case "input":
            if reason.old is None:
                return f"{reason.where} is a new input"
            return f"{reason.where} changed" if reason.new is not None else f"{reason.where} is no input any more"
        case "function":
            return f"{reason.where} changed" if reason.old and reason.new else f"{reason.where} {_came(reason)}"
        case "step-version":
            both = reason.old is not None and reason.new is not None
            return f"{reason.where.removesuffix(' version')} {'has another version' if both else _came(reason)}"
    if short(reason):
        return f"{reason.where}: {text(reason.old)} -> {text(reason.new)}"
    return f"{reason.where} {_came(reason)}"


def _came(reason: Reason) -> str:
    if reason.old is None:
        return "is new"
    return "is gone" if reason.new is None else "changed"


def short(reason: Reason) -> bool:
    """Do old and new stand on one line?"""
    values = (reason.old, reason.new)
    return all(value is not None and "\n" not in text(value) and len(text(value)) <= SHORT for value in values)


def details(reason: Reason) -> list[tuple[str, str]]:
    """The lines below: `("-", old line)` and `("+", new line)` of long values, only those that differ."""
    if reason.kind in _TOLD_IN_FULL:
        return []
    if short(reason):
        return []
    old = text(reason.old).splitlines() if reason.old is not None else []
    new = text(reason.new).splitlines() if reason.new is not None else []
    lines = difflib.ndiff(old, new)
    return [(line[0], line[2:]) for line in lines if line[0] in "+-"]


def text(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, str):
        return _OUTPUT_MARK.sub("{output}", value)
    return json.dumps(value, ensure_ascii=False)
