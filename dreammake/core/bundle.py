"""What went into a bundle, and what came out of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreammake.core.values import NOTHING


@dataclass(frozen=True, slots=True)
class Exported:
    """`size` is in bytes. `left_out` holds what would have belonged to it, each with the reason."""

    file: Path
    size: int
    files: Sequence[str] = ()
    targets: Sequence[str] = ()
    answers: int = 0
    left_out: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """`same` was here already and holds the same; `overwritten` held something else. `code` is what a build of it runs:
    Python files, and commands by their rules. `unset` are variables that its Dreamfile reads by `env()`, and that are
    not set here. `words` and `config` are what the bundle was made with."""

    file: Path
    files: Sequence[str] = ()
    targets: Sequence[str] = ()
    same: Sequence[str] = ()
    overwritten: Sequence[str] = ()
    answers: int = 0
    new_answers: int = 0
    code: Sequence[str] = ()
    unset: Sequence[str] = ()
    words: Sequence[str] = ()
    config: Mapping[str, Any] = NOTHING
    dreamfile: str = ""
