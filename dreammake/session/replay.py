"""Replays the steps of one job over its inputs, with the numbers of rows carried along in hidden columns: so each row
that comes out knows where it was before every step. Models answer from the caches; nothing is asked, no code of the
user's is run, and only a folder that goes is written to.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.engine import Answer, Reader, Request
from dreammake.core.rows import Rows
from dreammake.core.values import ModelSpec
from dreammake.lang.dreamfile import StepDecl
from dreammake.plan.estimate import asking_steps
from dreammake.plan.graph import PlannedJob
from dreammake.plan.plan import Plan
from dreammake.session.estimating import ProbeWork, prober_of
from dreammake.session.session import Session

if TYPE_CHECKING:
    import pyarrow as pa

    from dreammake.run.attempts import Attempt
    from dreammake.run.request_key import Use

MARK = "\ue000"
"""Begins the name of a hidden column; no column of a Dreamfile can be called so."""
GATHERING = ("concat", "join")
"""Steps that put rows of other inputs among the rows, or beside them."""


class Lost(Exception):
    """A step that rows cannot be followed through: its label."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """One request that a step made: its digest as it was first asked, the key of its answer, which attempt that is
    (from 0). `request` is None where a row tells it anew: there may be millions."""

    use: Use
    digest: bytes
    key: bytes
    occurrence: int
    attempt: int
    request: Request | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """One row that came out. `origins` are paths with row numbers; `behind` is its number after each step (None: it
    came in later); `before` holds the row as each asking step saw it."""

    values: Mapping[str, Any]
    origins: tuple[tuple[str, int], ...]
    behind: tuple[int | None, ...]
    before: Mapping[int, pa.RecordBatch]


@dataclass(slots=True)
class Replay:
    """One job, replayed. `folder` is an empty one that the caller removes. `lookups` are the requests of each step, in
    the order of its rows."""

    session: Session
    plan: Plan
    job: PlannedJob
    folder: Path
    lookups: dict[int, list[Lookup]] = field(default_factory=dict)
    _inputs: dict[str, str] = field(default_factory=dict)
    """The path behind each hidden column of an input."""

    def rows(self, output: str) -> Iterator[Replayed]:
        """The rows of one output, in order, made lazily. Raises Lost, DreamError."""
        names = self.plan.graph.names(self.job)
        work = self.work()
        steps = self.job.rule.steps
        asking = asking_steps(self.job)
        made: Any = None
        if not steps[0].kind.source:
            made = self._opened(work, self.job.inputs[0].path)
        for number, step in enumerate(steps):
            if made is not None and step in asking:
                made = _remembering(made, f"{MARK}before {number}")
            made = self._run(step, number, made, names, work)
            if isinstance(made, Mapping):
                name = next(put.name for put in self.job.outputs if put.path == output)
                made = made[name or next(iter(made))]
            made = _numbered(made, f"{MARK}after {number}")
        for batch in made.batches():
            for at in range(batch.num_rows):
                yield self._replayed(batch.slice(at, 1), len(steps))

    def requests(self, number: int, before: pa.RecordBatch) -> list[Lookup]:
        """What a step asks about one row as it was before, each as the first of its kind."""
        found: list[Lookup] = []
        names = self.plan.graph.names(self.job)
        step = self.job.rule.steps[number]
        work = _StepWork(self.work(), self, found, whole=True)
        rows = Rows(before.schema.names, lambda: iter([before]), 1)
        for _ in step.kind().run(step.options(names), step.name, rows, work):
            pass
        return found

    def work(self) -> ProbeWork:
        """What steps may use, with a folder of its own."""
        folder = tempfile.mkdtemp(dir=self.folder)
        return ProbeWork(self.session, self.plan, self.job, Path(folder))

    def _run(self, step: StepDecl, number: int, rows: Rows | None, names: Mapping[str, Any], work: ProbeWork) -> Any:
        options = step.options(names)
        hidden = tuple(column for column in rows.columns if column.startswith(MARK)) if rows is not None else ()
        if step.word == "select" and rows is not None:
            kept = (*options.values["columns"], *hidden)
            return rows.then(kept, lambda batch: batch.select(list(kept)), same_count=True)
        asked = self.lookups.setdefault(number, [])
        step_work = _StepWork(work, self, asked, whole=step.kind.source, gathers=step.word in GATHERING)
        made = step.kind().run(options, step.name, Rows((), lambda: iter(())) if rows is None else rows, step_work)
        parts = made.values() if isinstance(made, Mapping) else [made]
        if any(not {*hidden} <= {*part.columns} for part in parts):
            raise Lost(step.label)
        return made

    def _opened(self, work: Any, path: str) -> Rows:
        """The rows of an input, numbered."""
        column = f"{MARK}input {len(self._inputs)}"
        self._inputs[column] = path
        return _numbered(work.open(path), column)

    def answer(self, lookup: Lookup) -> Answer | None:
        """The answer as the cache has it; None where it is there no more."""
        from dreammake.store.prompt_cache import PromptCache

        path = self.session.place.state / "prompts" / lookup.use.file
        with closing(PromptCache(path, readonly=True, say=lambda line: None)) as cache:
            return cache.lookup([lookup.key], lookup.use.max_tokens).get(lookup.key)

    def _replayed(self, one: pa.RecordBatch, steps: int) -> Replayed:
        row = one.to_pylist()[0]
        values = {column: value for column, value in row.items() if not column.startswith(MARK)}
        numbers = [(path, row.get(column)) for column, path in self._inputs.items()]
        before = {
            number: _row_of(one.column(f"{MARK}before {number}"))
            for number in range(steps)
            if row.get(f"{MARK}before {number}") is not None
        }
        return Replayed(
            values,
            tuple(dict.fromkeys((path, number) for path, number in numbers if number is not None)),
            tuple(row.get(f"{MARK}after {number}") for number in range(steps)),
            before,
        )


class _StepWork:
    """The `Work` of one step: it notes what is asked, and numbers the rows of the inputs that the step gathers. With
    `whole` it keeps the requests, too."""

    def __init__(
        self, work: ProbeWork, replay: Replay, into: list[Lookup], *, whole: bool, gathers: bool = False
    ) -> None:
        self._work = work
        self._replay = replay
        self._into = into
        self._whole = whole
        self._gathers = gathers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)

    def open(self, path: str) -> Rows:
        return self._replay._opened(self._work, path) if self._gathers else self._work.open(path)

    def ask(self, model: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        replay = self._replay
        prober = prober_of(replay.session, replay.plan, replay.job, lambda line: None)
        prober.watch = self._note
        return prober.ask(model, requests, reader)

    def _note(self, use: Use, attempt: Attempt, answer: Answer | None) -> None:
        request, turn = attempt.request, attempt.request.attempt
        digest = use.digest(replace(request, attempt=0) if turn else request)
        kept = request if self._whole else None
        self._into.append(Lookup(use, digest, attempt.key, attempt.occurrence, turn, kept))


def _numbered(rows: Rows, column: str) -> Rows:
    """The rows with their number in a hidden column."""

    def batches() -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        at = 0
        for batch in rows.batches():
            yield batch.append_column(column, pa.array(range(at, at + batch.num_rows), pa.int64()))
            at += batch.num_rows

    return Rows((*rows.columns, column), batches, rows.count)


def _remembering(rows: Rows, column: str) -> Rows:
    """The rows with themselves, as they are now, in a hidden column."""

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        seen = [number for number, name in enumerate(batch.schema.names) if not name.startswith(MARK)]
        now = pa.StructArray.from_arrays(
            [batch.column(at) for at in seen], fields=[batch.schema.field(at) for at in seen]
        )
        return batch.append_column(column, now)

    return rows.then((*rows.columns, column), change, same_count=True)


def _row_of(struct: pa.StructArray) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.record_batch(struct.flatten(), names=[field.name for field in struct.type])
