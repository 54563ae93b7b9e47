"""Targets in a shared cache: what one project has built, others of the same recipe and inputs take.

    targets/3f/3f0c...e1.tar.zst     an archive: its outputs by number, their fingerprints, the facts of the build

The name is the recipe of the job. What arrives is verified: as an archive, and by the fingerprint of every output.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import DreamError, first_line
from dreammake.core.secrets import SECRETS
from dreammake.store import files
from dreammake.store.archive import unpack, write_archive
from dreammake.store.shared_place import SharedPlace

KIND = "target"
_KEPT_FACTS = ("rows", "steps", "loss", "revisions")
"""Facts that are true of what was built, and not only of the build."""

Tell = Callable[[str], None]


class SharedTargets:
    """The targets of a shared cache, as one worker uses them. What goes wrong there is told once, and no more tried: a
    build does not depend on it."""

    def __init__(self, place: SharedPlace, tell: Tell, *, takes: bool = True, gives: bool = True) -> None:
        self._place = place
        self._tell = tell
        self._takes = takes
        self._gives = gives

    def take(self, recipe: str, outputs: Sequence[Path]) -> dict[str, Any] | None:
        """Put the outputs of a recipe at their places; gives the facts of their build. None where they are not there,
        or not what they should be."""
        if not self._takes:
            return None
        try:
            with tempfile.TemporaryDirectory(dir=outputs[0].parent) as folder:
                file, aside = Path(folder) / "archive", Path(folder) / "outputs"
                if not self._place.get(_name(recipe), file):
                    return None
                about = unpack(file, KIND, aside)["about"]
                made = [aside / str(number) for number in range(len(outputs))]
                if [files.fingerprint_path(path) for path in made] != about["contents"]:
                    raise ValueError("it does not hold what it says")
                facts = {name: about["facts"][name] for name in _KEPT_FACTS if name in about["facts"]}
                for path, output in zip(made, outputs, strict=True):
                    path.rename(output)
                return {**facts, "shared": True}
        except (DreamError, ValueError, KeyError, TypeError) as error:
            said = error.diagnostics[0].message if isinstance(error, DreamError) else str(error)
            self._tell(f"warning: an entry of the shared cache is not used: {said}")
        except Exception as error:  # whatever the library of a bucket raises
            self._give_up(error)
        return None

    def give(self, recipe: str, outputs: Sequence[tuple[Path, str]], facts: Mapping[str, Any]) -> None:
        """Share outputs, each with its fingerprint. What a target with failed rows holds is not all that it should."""
        if not self._gives or facts.get("failed_rows"):
            return
        members: dict[str, Path] = {}
        for number, (path, _) in enumerate(outputs):
            names = files.members(path) if path.is_dir() else [""]
            members |= {f"{number}/{name}".rstrip("/"): path / name for name in names if name != files.CARD}
        kept = {name: facts[name] for name in _KEPT_FACTS if name in facts}
        about = {"contents": [content for _, content in outputs], "facts": SECRETS.hide_in(kept)}
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "archive"
                write_archive(file, KIND, about, members)
                self._place.put(file, _name(recipe))
        except Exception as error:  # whatever the library of a bucket raises
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._takes = self._gives = False
        self._tell(f"warning: the shared cache cannot be used: {first_line(error)}")


def _name(recipe: str) -> str:
    return f"targets/{recipe[:2]}/{recipe}.tar.zst"
