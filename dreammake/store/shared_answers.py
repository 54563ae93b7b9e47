"""Answers in a shared cache: before a build the new ones of others are taken, after it the new ones of here are given.

    answers/5d21...7a.tar.zst     an archive of one or more `NAME.jsonl` (`store.answer_lines`)

The name is the digest of what is in it. `prompts/shared.json` notes which were taken, and how far each cache was given.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import DreamError, first_line
from dreammake.store.answer_lines import NAME, newest, take_answers, write_answers
from dreammake.store.archive import read_manifest, unpack, write_archive
from dreammake.store.cache_files import NOTE, cache_files
from dreammake.store.shared_place import SharedPlace

KIND = "answers"


class SharedAnswers:
    """The answers of a shared cache, as one build uses them. Raises nothing: what goes wrong is told."""

    def __init__(self, place: SharedPlace, prompts: Path, tell: Callable[[str], None], *, gives: bool = True) -> None:
        self._place = place
        self._prompts = prompts
        self._tell = tell
        self._gives = gives

    def take(self) -> int:
        """Take what others gave since; gives how many answers are new here."""
        return self._safely(self._take)

    def give(self) -> int:
        """Give what was answered since; gives how many answers that are."""
        return self._safely(self._give) if self._gives else 0

    def _take(self) -> int:
        # What is new here goes first: what is taken then need not be told apart from it.
        if self._gives:
            self._give()
        note = self._note()
        new = 0
        for name in self._place.names("answers"):
            if name not in note["taken"]:
                new += self._take_one(name)
                note["taken"].append(name)
        self._save(note, self._newest())
        return new

    def _take_one(self, name: str) -> int:
        new = 0
        with tempfile.TemporaryDirectory() as folder:
            file, aside = Path(folder) / "archive", Path(folder) / "answers"
            try:
                self._place.get(f"answers/{name}", file)
                for member, _, _ in unpack(file, KIND, aside)["members"]:
                    cache = f"{member.removesuffix('.jsonl')}.sqlite"
                    if not NAME.fullmatch(cache):
                        raise ValueError(f"it holds a file named {member!r}")
                    new += take_answers(aside / member, self._prompts / cache)[1]
            except (DreamError, ValueError, RecursionError) as error:
                said = error.diagnostics[0].message if isinstance(error, DreamError) else str(error)
                self._tell(f"warning: answers of the shared cache are not used: {said}")
        return new

    def _give(self) -> int:
        note, newest_ = self._note(), self._newest()
        count = 0
        with tempfile.TemporaryDirectory() as folder:
            members = {}
            for cache, last in newest_.items():
                given = note["given"].get(cache, 0)
                lines = Path(folder) / f"{cache.removesuffix('.sqlite')}.jsonl"
                if last > given and (some := write_answers(self._prompts / cache, lines, after=given)):
                    count += some
                    members[lines.name] = lines
            if members:
                file = Path(folder) / "archive"
                write_archive(file, KIND, {}, members)
                digest = hashlib.sha256(json.dumps(read_manifest(file, KIND)["members"]).encode()).hexdigest()[:32]
                self._place.put(file, f"answers/{digest}.tar.zst")
                note["taken"].append(f"{digest}.tar.zst")
                self._save(note, newest_)
        return count

    def _newest(self) -> dict[str, int]:
        return {file.path.name: newest(file.path) for file in cache_files(self._prompts) if not file.damaged}

    def _note(self) -> dict[str, Any]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads((self._prompts / NOTE).read_text(encoding="utf-8"))
            return {"taken": [*found["taken"]], "given": dict(found["given"])}
        return {"taken": [], "given": {}}

    def _save(self, note: dict[str, Any], given: dict[str, int]) -> None:
        self._prompts.mkdir(parents=True, exist_ok=True)
        part = self._prompts / f"{NOTE}.{os.getpid()}"
        part.write_text(json.dumps({"taken": note["taken"], "given": given}), encoding="utf-8")
        os.replace(part, self._prompts / NOTE)

    def _safely(self, work: Callable[[], int]) -> int:
        try:
            return work()
        except Exception as error:  # whatever the library of a bucket raises
            self._tell(f"warning: the answers of the shared cache cannot be used: {first_line(error)}")
            return 0
