"""A `Work` that asks models for real, by an `Asker`, and one that looks only, as a dry run does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from support.work import TestWork

from dreammake.core.catalog import Catalog
from dreammake.core.engine import Answer, Engine, EngineContext, Reader, Request
from dreammake.core.values import ModelSpec
from dreammake.run.asking import Asker
from dreammake.run.probing import Prober

_CATALOG = Catalog()


def engine_of(name: str) -> type[Engine]:
    return _CATALOG.find("models", name)  # type: ignore[no-any-return]


def asker_in(project: Path) -> Asker:
    """An asker with its caches in the project, as each run of the program makes one."""
    return Asker(project / ".dreammake" / "prompts", engine_of, EngineContext(path=project.joinpath))


class AskingWork(TestWork):
    def __init__(self, project: Path) -> None:
        super().__init__(project)
        self.asker = asker_in(project)

    def ask(self, model: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        return self.asker.ask(model, requests, reader)


class ProbingWork(TestWork):
    def __init__(self, project: Path) -> None:
        super().__init__(project)
        self.prober = Prober(project / ".dreammake" / "prompts", engine_of, project.joinpath)

    def ask(self, model: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        return self.prober.ask(model, requests, reader)
