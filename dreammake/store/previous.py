"""The version of a dataset before this one, kept aside when a build replaces it, so that the two can be compared.

    .dreammake/previous/data%2Fanswers/      the folder as it was, its card too

One version a target: the last that held something else. A dataset of more than KEPT_BYTES is not kept, nor is a model
or a plain file; so what is kept takes about as much room as the datasets themselves at most. `clean` removes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dreammake.core import fingerprint
from dreammake.store.dataset import is_dataset
from dreammake.store.files import CARD, members

KEPT_BYTES = 1_000_000_000
_LONGEST_NAME = 200


def previous_of(state: Path, target: str) -> Path:
    """Where the version before is kept, if there is one."""
    name = quote(target, safe="")
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{fingerprint.of_text(target)}"
    return state / "previous" / name


def keep_previous(old: Path, state: Path, target: str, content: str, remove: Callable[[Path], None]) -> None:
    """Keep a folder that `content` (a fingerprint) has replaced, in place of the version kept so far; or remove it."""
    place = previous_of(state, target)
    if not is_dataset(old) or card_of(old).get("content") == content or _bytes(old) > KEPT_BYTES:
        remove(old)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        remove(place)
    try:
        os.rename(old, place)
    except OSError:  # read-only, or on another disk: it is no loss
        remove(old)


def card_of(folder: Path) -> dict[str, Any]:
    """The card beside a target's files; empty where there is none."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _bytes(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in members(folder))
