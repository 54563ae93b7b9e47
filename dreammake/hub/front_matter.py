"""The YAML block at the beginning of a README, in which the Hub reads licence, tags and the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_BLOCK = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The values of a README's YAML block, and the text after it. A block that is no YAML is part of the text."""
    import yaml

    match = _BLOCK.match(text)
    if match is None:
        return {}, text
    try:
        values = yaml.safe_load(match[1]) or {}
    except yaml.YAMLError:
        return {}, text
    return (dict(values), text[match.end() :]) if isinstance(values, dict) else ({}, text)


def front_matter(values: Mapping[str, Any]) -> str:
    """Values as a README's YAML block, in their order."""
    import yaml

    body = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{body}---\n"


def merged(mine: Mapping[str, Any], theirs: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What to publish, given what a README on the Hub says and what was published last: a value that somebody changed
    there, added or removed stays so; of lists, what they added is kept."""
    result: dict[str, Any] = {}
    for name in dict.fromkeys([*mine, *theirs]):
        was, now = before.get(name), theirs.get(name)
        if name not in mine:
            if name not in before or now != was:
                result[name] = now
        elif name in theirs and now != was:
            result[name] = _with_added(mine[name], now, was)
        elif name in theirs or name not in before:
            result[name] = mine[name]
    return result


def _with_added(mine: Any, now: Any, was: Any) -> Any:
    if isinstance(mine, list) and isinstance(now, list) and isinstance(was, list | None):
        return [*mine, *(item for item in now if item not in (was or ()) and item not in mine)]
    return now
