"""Where a Dreamfile comes from."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dreammake.hub.card import Origin


def origin_of(root: Path, files: Sequence[str]) -> Origin:
    """The git commit of a project, and whether its Dreamfile (the first of `files`) or what that includes was changed
    since. Without git there is none."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return Origin(files[0])
    return Origin(files[0], commit, bool(_git(root, "status", "--porcelain", "--", *files)))


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
