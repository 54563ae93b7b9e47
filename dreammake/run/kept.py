"""Folders made of a dataset that outlive the job which made them: an index, say. They can always be made again.

indexes/SLOT/CONTENT/   SLOT: which dataset and model, and how; CONTENT: what they hold, and how
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreammake.core.fingerprint import of_value
from dreammake.core.values import ModelSpec, to_json
from dreammake.run.embedding import embedder_class

INDEXES = "indexes"
"""Where they are, below the state folder."""


@dataclass(frozen=True, slots=True)
class KeptFolder:
    """One such folder, which may be there or not."""

    path: Path

    @property
    def there(self) -> bool:
        return self.path.is_dir()

    def make(self, fill: Callable[[Path], None]) -> Path:
        """The folder, filled if it is not there yet: complete or absent, by one process at a time. What other content
        had the place before goes."""
        from filelock import FileLock

        slot = self.path.parent
        slot.mkdir(parents=True, exist_ok=True)
        with FileLock(slot / "lock"):
            if not self.there:
                new = slot / "new"
                shutil.rmtree(new, ignore_errors=True)
                new.mkdir()
                fill(new)
                for old in [entry for entry in slot.iterdir() if entry.is_dir() and entry != new]:
                    shutil.rmtree(old, ignore_errors=True)
                new.rename(self.path)
        return self.path


def kept_folder(
    state: Path, dataset: str, content: str, model: ModelSpec | None, identity: Any, how: Any
) -> KeptFolder:
    """The folder for a dataset of a path and a content, with the vectors of a model (`identity`: all that tells it from
    others), made as `how` says."""
    slot = of_value([dataset, how, None if model is None else _as_declared(model)])
    return KeptFolder(state / INDEXES / slot / of_value([content, how, identity]))


def _as_declared(spec: ModelSpec) -> Any:
    """The model without its content, which may change."""
    declared = embedder_class(spec.engine).Options.declared()
    options = {name: value for name, value in spec.options.items() if declared[name].result and value is not None}
    return [spec.engine, spec.model, to_json(options)]
