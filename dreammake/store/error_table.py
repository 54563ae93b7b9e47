"""The error table of a target: the rows that have no result, and why.

`errors.jsonl`, a JSON object a line, in the order of the rows: `row` (its number in what the step read, from 0),
`step`, `code`, `message`, `values` (the row's columns) and, where a text came that could not be used, `answer`. It
stands in the target's folder and is no part of its content. Where the job failed there is no target; then the table is
kept below the state folder until a build goes well.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from dreammake.core import fingerprint
from dreammake.core.secrets import SECRETS
from dreammake.core.step import RowError
from dreammake.core.values import in_words
from dreammake.store.files import ERRORS


class ErrorTable:
    """Gathers the error rows of one job, in a file that is made with the first of them and may move meanwhile."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self.again = 0
        """How many of them the next build tries again."""
        self._path = path
        self._file: TextIO | None = None

    def add(self, error: RowError) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a" if self.count else "w", encoding="utf-8")
        self.count += 1
        self.again += error.again
        fields: dict[str, Any] = {"row": error.row, "step": error.step, "code": error.code, "message": error.message}
        if error.answer is not None:
            fields["answer"] = error.answer
        line = json.dumps(fields | {"values": error.values}, ensure_ascii=False, default=in_words)
        self._file.write(SECRETS.hide(line).encode("utf-8", "replace").decode() + "\n")

    def move_to(self, place: Path) -> None:
        """Go on at `place`. Nothing happens where no row failed, or where the file went away with its target."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self.count and self._path.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(self._path, place)
            self._path = place


def kept_at(state: Path, target: str) -> str:
    """Where the table of a job that failed is kept, by its target."""
    return f"{state}/errors/{target.replace('/', '__')[:150]}-{fingerprint.of_text(target)[:8]}.jsonl"


def table_of(state: Path, target: str, folder: Path) -> Path | None:
    """The newest table of a target: of the build that failed, else of the one that made it. None: no row failed."""
    for place in (Path(kept_at(state, target)), folder / ERRORS):
        if os.path.isfile(place):
            return place
    return None


def read_errors(path: Path) -> Iterator[dict[str, Any]]:
    """The error rows one by one. A line that was cut off is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
