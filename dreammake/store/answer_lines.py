"""The answers of a prompt cache as lines of JSON, to be carried elsewhere.

    {"about": {"engine": "api", "model": "gpt-4o", ...}}
    ["0f3a...", 0, {"text": "...", "finish_reason": "stop", ...}]

The first line says which model it is; then an answer a line, by key: key, `max_tokens` (0: none), answer. What comes
back is read as data and checked field by field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from dreammake.core.secrets import SECRETS
from dreammake.store.cache_files import about_of, note_keys, opened
from dreammake.store.prompt_cache import PromptCache

BATCH = 20_000
"""Answers that are written in one transaction."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.sqlite")
_TEXTS = ("text", "finish_reason", "reasoning")
_NUMBERS = ("prompt_tokens", "completion_tokens", "seconds", "cached_tokens", "cost", "created")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def write_answers(cache: Path, file: Path, keys: Collection[bytes] | None = None, *, after: int = 0) -> int:
    """Write the answers of a cache: all, or those under some keys, or those that came `after` what `newest` said. Gives
    how many."""
    count = 0
    with opened(cache) as connection, file.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as lines:
        lines.write(_encode({"about": SECRETS.hide_in(about_of(connection))}) + "\n")
        chosen = f"json_valid(answer) and rowid > {after:d}"
        if keys is not None:
            note_keys(connection, keys)
            chosen += " and key in (select key from reached)"
        query = f"select key, max_tokens, answer from answers where {chosen} order by key, max_tokens"
        for key, limit, answer in connection.execute(query):
            lines.write(f'["{key.hex()}",{limit},{answer}]\n')
            count += 1
    return count


def newest(cache: Path) -> int:
    """The number of the newest answer of a cache; later ones have larger numbers until answers are dropped."""
    with opened(cache) as connection:
        return int(connection.execute("select coalesce(max(rowid), 0) from answers").fetchone()[0])


def take_answers(file: Path, cache: Path) -> tuple[int, int]:
    """Put the answers of a file into a cache, made if it is missing; those that are there stay. Gives how many came,
    and how many are new. Raises ValueError where a line is none of ours."""
    with file.open(encoding="utf-8", errors="surrogatepass", newline="\n") as lines:
        about = _about(lines.readline())
        came = new = 0
        rows = _rows(lines)
        with closing(PromptCache(cache, about=about)) as store:
            while batch := list(islice(rows, BATCH)):
                came += len(batch)
                new += store.take_over(batch)
    return came, new


def _about(line: str) -> Mapping[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict) or not isinstance(found.get("about"), dict):
        raise ValueError("its answers do not say which model gave them")
    about: dict[str, Any] = found["about"]
    return about


def _rows(lines: Iterator[str]) -> Iterator[tuple[bytes, int, str]]:
    for line in lines:
        match json.loads(line):
            case [str(key), int(limit), dict(answer)] if limit >= 0 and 0 < len(key) <= 256:
                yield bytes.fromhex(key), limit, _encode(_checked(answer))
            case _:
                raise ValueError("one of its answers is none")


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    """The fields of an answer that we know, each of its type."""
    found: dict[str, Any] = {}
    for name in (*_TEXTS, *_NUMBERS):
        value = answer.get(name)
        if value is None:
            continue
        if isinstance(value, str) != (name in _TEXTS) or not isinstance(value, str | int | float):
            raise ValueError("one of its answers is none")
        if not isinstance(value, str) and not math.isfinite(value):
            raise ValueError("one of its answers is none")
        found[name] = value
    if "text" not in found or "finish_reason" not in found:
        raise ValueError("one of its answers is none")
    return found
