"""A real `Work` for tests of steps: datasets under one folder, spools on disk, a log in a list. It asks no model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dreammake.core.engine import Answer, Reader, Request
from dreammake.core.job import Put
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.step import Columns, RowError, Spooled, Step
from dreammake.core.values import ModelSpec
from dreammake.store.dataset import dataset_columns, is_dataset, open_dataset, spool, write_dataset


class TestWork:
    """`Work` and `Look` over a project folder."""

    __test__ = False

    def __init__(self, project: Path, inputs: Iterable[Put] = (), outputs: Iterable[Put] = ()) -> None:
        self.project = project
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.log: list[str] = []
        self.errors: list[RowError] = []
        self.done: list[tuple[int, int | None]] = []
        self.gpus: tuple[str, ...] = ()
        self.nodes = 1
        self.meeting: Path | None = None
        self.pins: dict[str, str] = {}

    def columns(self, path: str) -> Columns | None:
        return dataset_columns(self.path(path)) if is_dataset(self.path(path)) else None

    def source(self, path: str) -> Path:
        return self.path(path)

    def open(self, path: str) -> Rows:
        return open_dataset(self.path(path))

    def path(self, path: str) -> Path:
        return self.project / path

    def folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.project))

    def spool(self, rows: Rows) -> Spooled:
        return spool(rows, self.folder())

    def ask(self, model: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        raise AssertionError("no step under test asks a model")

    def pinned(self, revision: str) -> str | None:
        return self.pins.get(revision)

    def pin(self, revision: str, commit: str) -> None:
        self.pins[revision] = commit

    def error(self, error: RowError) -> None:
        self.errors.append(error)

    def progress(self, done: int, total: int | None = None) -> None:
        self.done.append((done, total))

    def say(self, line: str) -> None:
        self.log.append(line)

    def tell(self, line: str) -> None:
        self.log.append(line)

    def meanwhile(self) -> None:
        pass

    def dataset(self, path: str, rows: list[dict[str, Any]], columns: Iterable[str] = ()) -> str:
        """Rows written as a dataset of the project; gives its path."""
        write_dataset(from_dicts(tuple(columns) or columns_of(rows), rows), self.path(path))
        return path


def columns_of(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for row in rows for column in row))


def apply(
    step: type[Step], values: Mapping[str, Any], rows: Rows | list[dict[str, Any]], work: Any, name: str | None = None
) -> list[dict[str, Any]]:
    """The rows after a step as Python values, with its columns checked against what it declared."""
    made = result(step, values, rows, work, name)
    assert isinstance(made, Rows)
    return written(made, work)


def result(
    step: type[Step], values: Mapping[str, Any], rows: Rows | list[dict[str, Any]], work: Any, name: str | None = None
) -> Rows | Mapping[str, Rows]:
    """What a step's `run` gives, after its options were checked as the planner does."""
    given = rows if isinstance(rows, Rows) else from_dicts(columns_of(rows), rows)
    declared = step.Options.declared()
    options = step.Options({key: declared[key].check(value) for key, value in values.items()})
    expected = step.columns(options, name, given.columns, work)
    made = step().run(options, name, given, work)
    if isinstance(made, Rows) and expected is not None:
        assert made.columns == tuple(expected)
    return made


def written(rows: Rows, work: Any) -> list[dict[str, Any]]:
    """The rows as they are after the way over the disk."""
    folder = work.folder()
    facts = write_dataset(rows, folder)
    assert facts.columns == rows.columns
    made = list(open_dataset(folder).dicts())
    assert facts.rows == len(made)
    assert rows.count in (None, len(made))
    return made
