"""Where a project is: its folder, its Dreamfile, its state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dreammake.core.diagnostic import fail


@dataclass(frozen=True, slots=True)
class Place:
    """Where a project is: its folder, its Dreamfile's path in it, its state folder."""

    root: Path
    file: str = "Dreamfile"
    state: Path = Path(".dreammake")

    @classmethod
    def at(cls, folder: str | None, file: str | None, state: str | None) -> Place:
        """The place that `-C`, `-f` and `--state-dir` name. Raises DreamError where there is no Dreamfile."""
        root = Path(folder or ".").absolute()
        if not root.is_dir():
            fail("no-such-file", f"there is no folder `{folder}`", hint="check -C")
        name = file or "Dreamfile"
        path = root / name
        if not path.is_file():
            if file is None:
                hint = "`dreammake init` writes a first one; -f names another file, -C another folder"
                fail("no-dreamfile", "there is no Dreamfile here", hint=hint)
            fail("no-dreamfile", f"there is no file `{file}`", hint="check -f")
        return cls(root, os.path.relpath(path, root), (root / (state or ".dreammake")).absolute())
