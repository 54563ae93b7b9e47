"""A `Work` that embeds by the words of a text, and keeps folders as a build does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dreammake.core.engine import EngineContext
from dreammake.core.values import ModelSpec
from dreammake.models.hashing import Hashing
from dreammake.run.kept import kept_folder
from dreammake.store.files import fingerprint_path
from tests.support.work import TestWork

WORDS = ModelSpec("words", "words", "hashing")


class MeaningWork(TestWork):
    """`embedded` holds the texts whose vectors were asked for; `made` the datasets that were indexed. With `dry`, there
    are no vectors."""

    __test__ = False

    def __init__(self, project: Path, *, dry: bool = False) -> None:
        super().__init__(project)
        self.embedded: list[str] = []
        self.made: list[str] = []
        self.dry = dry

    def embed(self, model: ModelSpec, texts: Sequence[str]) -> Any:
        self.embedded += texts
        return None if self.dry else Hashing(model, EngineContext(self.path)).embed(texts)

    def kept(self, dataset: str, model: ModelSpec | None, how: Any, make: Callable[[Path], None]) -> Path:
        def fill(folder: Path) -> None:
            self.made.append(dataset)
            make(folder)

        content = fingerprint_path(self.path(dataset))
        return kept_folder(self.project / ".dreammake", dataset, content, model, None, how).make(fill)
