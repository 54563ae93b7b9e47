"""The project folder: paths as a Dreamfile writes them, found on the real disk. One object is one snapshot."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import DreamError, fail
from dreammake.core.options import Wrong
from dreammake.core.spelling import nearest
from dreammake.core.step import Columns
from dreammake.store import files
from dreammake.store.dataset import dataset_columns, is_dataset, open_dataset


class ProjectFolder:
    """Implements `plan.ports.Disk` and `lang.context.Project`.

    `known` holds what earlier builds learned: signature and fingerprint by path. What this one learns is in
    `learned`. A path is looked at once; `forget` makes the next look a real one.
    """

    def __init__(self, root: Path, known: Mapping[str, tuple[str, str]] | None = None) -> None:
        self.root = root
        self._prefix = f"{root}{os.sep}"
        self.known = dict(known or {})
        self.learned: dict[str, tuple[str, str]] = {}
        self.settled: set[str] = set()
        """Targets that are built and fresh, so that `column()` may read them."""
        self.is_target: Callable[[str], bool] = lambda path: True
        """Does a rule make the path? Sources may be read at any time."""
        self.globs: dict[str, list[str]] = {}
        self._signatures: dict[str, str | None] = {}

    # plan.ports.Disk

    def signature(self, path: str) -> str | None:
        try:
            return self._signatures[path]
        except KeyError:
            found = self._signatures[path] = files.signature(self._on_disk(path))
            return found

    def fingerprint(self, path: str) -> str:
        signature = self.signature(path)
        if signature is None:
            fail("no-such-file", f"`{path}` does not exist")
        known = self.known.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        content = files.fingerprint_path(self._on_disk(path))
        self.known[path] = self.learned[path] = (signature, content)
        return content

    def forget(self, path: str) -> None:
        """Look again the next time."""
        self._signatures.pop(path, None)

    def columns(self, path: str) -> Columns | None:
        place = Path(self._on_disk(path))
        if not (place.is_dir() and is_dataset(place)):
            return None
        try:
            return dataset_columns(place)
        except DreamError as error:
            wrong = error.diagnostics[0]
            raise DreamError(replace(wrong, message=wrong.message.replace(str(place), path))) from error

    def kind(self, path: str) -> str | None:
        place = Path(self._on_disk(path))
        if not place.exists():
            return None
        if place.is_dir() and is_dataset(place):
            return "dataset"
        if place.is_dir() and any((place / name).exists() for name in ("config.json", "adapter_config.json")):
            return "model"
        return "file"

    def matching(self, pattern: str) -> list[str]:
        if not glob.has_magic(pattern) or self.signature(pattern) is not None:
            if self.signature(pattern) is None:
                near = nearest(pattern, self.siblings(pattern))
                hint = f"did you mean `{near}`?" if near else "check the path; it starts at the folder of the Dreamfile"
                raise Wrong(f"`{pattern}` does not exist", hint, "no-such-file")
            return [pattern]
        found = self.glob(pattern)
        if not found:
            raise Wrong(
                f"no file matches `{pattern}`",
                "check the pattern; it starts at the folder of the Dreamfile",
                "no-such-file",
            )
        return found

    def siblings(self, path: str) -> list[str]:
        folder = os.path.dirname(path)
        try:
            return [os.path.join(folder, name) for name in os.listdir(self._on_disk(folder or "."))]
        except OSError:
            return []

    def locate(self, path: str) -> Path:
        return Path(self._on_disk(path))

    def function(self, reference: str) -> Mapping[str, str]:
        from dreammake.plan.function_source import function_fingerprint

        return function_fingerprint(self.root, reference)

    def parameters(self, reference: str) -> Sequence[str] | None:
        from dreammake.plan.function_source import function_parameters

        return function_parameters(self.root, reference)

    def accepts(self, reference: str, name: str) -> bool:
        from dreammake.plan.function_source import accepts

        return accepts(self.root, reference, name)

    def required(self, reference: str) -> Sequence[str] | None:
        from dreammake.plan.function_source import required_parameters

        return required_parameters(self.root, reference)

    # lang.context.Project

    def text(self, path: str) -> str:
        place = self._on_disk(path)
        try:
            with open(place, encoding="utf-8-sig", newline="") as file:
                return file.read()
        except FileNotFoundError:
            near = nearest(path, self.siblings(path))
            fail(
                "no-such-file", f"`{path}` does not exist", hint=f"did you mean `{near}`?" if near else "check the path"
            )
        except UnicodeDecodeError:
            fail("not-text", f"`{path}` is no UTF-8 text", hint="save it as UTF-8")
        except OSError as error:
            fail("unreadable-file", f"`{path}` cannot be read: {error.strerror}")

    def glob(self, pattern: str) -> list[str]:
        found = glob.glob(pattern, root_dir=self.root, recursive=True)
        self.globs[pattern] = sorted(path.rstrip("/") for path in found if not path.startswith(".dreammake"))
        return self.globs[pattern]

    def column(self, target: str, name: str) -> list[Any] | None:
        if target not in self.settled and self.is_target(target):
            return None
        place = Path(self._on_disk(target))
        if not place.exists():
            return None
        rows = open_dataset(place)
        if name not in rows.columns:
            near = nearest(name, rows.columns)
            hint = f"did you mean `{near}`?" if near else "columns there: " + ", ".join(rows.columns)
            fail("unknown-column", f"`{target}` has no column `{name}`", hint=hint)
        seen: dict[Any, None] = {}
        for batch in rows:
            seen.update(dict.fromkeys(batch.column(name).to_pylist()))
        return [value for value in seen if value is not None]

    def _on_disk(self, path: str) -> str:
        return path if path.startswith("/") else self._prefix + path
