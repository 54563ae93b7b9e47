"""From one row back through every rule to its sources.

A rule of pure steps is replayed (`session.replay`), and that is certain where the row that comes out is the row of the
target. A rule that runs code of the user's is not: its row is matched with those of its first input that have the same
values in the columns of both. A command, a training, and what was cleared of the caches cannot be followed.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import DreamError, fail
from dreammake.core.engine import Request
from dreammake.core.rows import Rows
from dreammake.core.spelling import did_you_mean
from dreammake.core.traced import Origin, Trace, TracedPrompt, TracedRow, TracedStep
from dreammake.plan.estimate import can_rehearse
from dreammake.plan.graph import PlannedJob
from dreammake.plan.plan import Plan
from dreammake.plan.selection import path_named
from dreammake.session.replay import Lookup, Lost, Replay, Replayed
from dreammake.session.session import Session
from dreammake.store.dataset import is_dataset, open_dataset
from dreammake.store.error_table import read_errors
from dreammake.store.files import ERRORS

MOST = 1000
"""Rows that one trace follows."""


def trace(session: Session, word: str, row: int) -> Trace:
    """The trace of row number `row` (from 0) of a target. Raises DreamError: no such target, target not up to date, no
    such row."""
    target = path_named(session.dreamfile, word)
    plan = session.plan(session.select([target]))
    if target not in plan.graph.makers:
        hint = did_you_mean(target, plan.graph.makers) or "trace a row of what is made from it"
        fail("unknown-target", f"no rule makes `{target}`", hint=hint)
    verdict = plan.verdicts[plan.graph.makers[target].id]
    if verdict.action != "fresh":
        built = session.disk.signature(target) is not None
        code, what = ("stale-target", "not up to date") if built else ("not-built", "not built yet")
        fail(code, f"`{target}` is {what}, so its rows cannot be traced", hint=f"build it: dreammake {target}")
    if not is_dataset(session.disk.locate(target)):
        fail("wrong-kind", f"`{target}` is no dataset: it has no rows", hint="trace a row of what it was made from")
    tracer = _Tracer(session, plan)
    waiting: list[Origin] = [(target, row)]
    found: dict[Origin, TracedRow] = {}
    while waiting and len(found) < MOST:
        origin = waiting.pop(0)
        if origin not in found:
            found[origin] = tracer.follow(*origin)
            waiting += found[origin].origins
    return Trace(tuple(found.values()))


@dataclass(slots=True)
class _Tracer:
    session: Session
    plan: Plan
    _read: dict[Origin, Mapping[str, Any]] = field(default_factory=dict)

    def follow(self, path: str, row: int) -> TracedRow:
        """One row, and the rows of inputs that it came from."""
        values = self._values(path, row)
        job = self.plan.graph.makers.get(path)
        if job is None:
            return TracedRow(path, row, values)
        span = job.rule.span
        about: dict[str, Any] = {"rule": job.rule.name, "place": f"{span.path}:{span.line}"}
        if values is None or job.outputs[0].kind == "file":
            return TracedRow(path, row, values, "lost", note=_made_by(job), **about)
        gone = [put.path for put in job.inputs if self.session.disk.signature(put.path) is None]
        if gone:
            return TracedRow(path, row, values, "lost", note=f"{gone[0]} is there no more", **about)
        if can_rehearse(self.plan.graph, job):
            try:
                return self._replayed(path, row, values, job, about)
            except Lost as lost:
                about["note"] = f"rows cannot be followed through {lost}"
            except DreamError as error:
                about["note"] = f"its steps cannot be replayed: {error.diagnostics[0].message}"
        return self._matched(path, row, values, job, about)

    def _values(self, path: str, row: int) -> Mapping[str, Any] | None:
        """The row as it lies on disk; None where that is no dataset. Raises DreamError `no-such-row`."""
        place = self.session.disk.locate(path)
        if (path, row) in self._read or not is_dataset(place):
            return self._read.get((path, row))
        rows = open_dataset(place)
        if not 0 <= row < (rows.count or 0):
            last = f"its rows are 0 to {rows.count - 1:,}" if rows.count else "it has no rows"
            fail("no-such-row", f"`{path}` has no row {row}: {last}", hint=f"`dreammake show {path}` shows them")
        found: Mapping[str, Any] = rows.table.slice(row, 1).to_pylist()[0]
        return found

    def _replayed(
        self, path: str, row: int, values: Mapping[str, Any], job: PlannedJob, about: dict[str, Any]
    ) -> TracedRow:
        with tempfile.TemporaryDirectory() as folder:
            replay = Replay(self.session, self.plan, job, Path(folder))
            one, how = _find(replay.rows(path), row, values)
            if one is None:
                note = "the answers behind it are not all in the prompt cache any more"
                return TracedRow(path, row, values, "lost", note=note, **about)
            steps = []
            origins = [*one.origins]
            for number, step in enumerate(job.rule.steps):
                behind = one.behind[number]
                failed = self._failed(job, step.label, one, number)
                steps.append(TracedStep(step.label, behind, tuple(_prompts(replay, number, one)), failed))
                if step.word == "load" and behind is not None:
                    origin = self._loaded(replay, number, behind)
                    origins += [origin] if origin is not None else []
            return TracedRow(path, row, values, how, steps=tuple(steps), origins=tuple(origins), **about)

    def _failed(self, job: PlannedJob, label: str, one: Replayed, number: int) -> str:
        """Why a step has no result for a row, by the error table of its job; empty where it has one."""
        table = self.session.disk.locate(job.id) / ERRORS
        if not table.is_file():
            return ""
        before = _before(one, number)
        errors = read_errors(table)
        return next((str(error["message"]) for error in errors if (error["step"], error["row"]) == (label, before)), "")

    def _loaded(self, replay: Replay, number: int, row: int) -> Origin | None:
        """The file of a `load`, and the row in it; None where it is of no file."""
        from dreammake.steps._files import find
        from dreammake.steps._sources import kind_of

        step = replay.job.rule.steps[number]
        options = step.options(replay.plan.graph.names(replay.job)).values
        if any(kind_of(source) != "file" for source in options["source"]):
            return None
        work: Any = replay.work()
        for file in find(options["source"], work.path, options["format"]):
            alone = step.kind.options_for(step.name)({**options, "source": [file.name]})
            rows: Any = step.kind().run(alone, step.name, Rows((), lambda: iter(())), work)
            at = 0
            for batch in rows:
                if row < at + batch.num_rows:
                    origin = file.name, row
                    self._read[origin] = batch.slice(row - at, 1).to_pylist()[0]
                    return origin
                at += batch.num_rows
            row -= at
        return None

    def _matched(
        self, path: str, row: int, values: Mapping[str, Any], job: PlannedJob, about: dict[str, Any]
    ) -> TracedRow:
        """The row of the first input that has the same values, where there is just one."""
        about.setdefault("note", _runs_code(job))
        lost = TracedRow(path, row, values, "lost", **about)
        places = [(put.path, self.session.disk.locate(put.path)) for put in job.inputs]
        if not places or not is_dataset(places[0][1]):
            return lost
        source, place = places[0]
        rows = open_dataset(place)
        common = [column for column in rows.columns if column in values]
        if not common:
            return lost
        wanted = {column: values[column] for column in common}
        numbers: list[int] = []
        at = 0
        for batch in rows.batches():
            numbers += [at + n for n, one in enumerate(batch.select(common).to_pylist()) if _same(one, wanted)]
            at += batch.num_rows
        if len(numbers) != 1:
            told = f"{len(numbers):,} rows of {source} have the same {', '.join(common)}"
            return replace(lost, note=f"{lost.note}; {told}")
        note = f"the same {', '.join(common)}; {lost.note}"
        return replace(lost, how="matched", origins=((source, numbers[0]),), note=note)


def _find(rows: Iterator[Replayed], row: int, values: Mapping[str, Any]) -> tuple[Replayed | None, str]:
    """The row that came out at its place; else one with the same values, the nearest; else what is at its place, as far
    as the caches tell."""
    nearest: tuple[int, Replayed] | None = None
    placed: Replayed | None = None
    for number, one in enumerate(rows):
        same = _same(one.values, values)
        if number == row:
            if same:
                return one, "replayed"
            placed = one
        if same and (nearest is None or abs(number - row) < nearest[0]):
            nearest = abs(number - row), one
    if nearest is not None:
        return nearest[1], "matched"
    if placed is not None and all(
        value is None or _same({column: value}, {column: values.get(column)}) for column, value in placed.values.items()
    ):
        return placed, "placed"
    return None, "lost"


def _same(one: Any, other: Any) -> bool:
    """Are two values equal, as far as a dataset can tell: NaN is NaN, and a field that is null is none?"""
    match one, other:
        case Mapping(), Mapping():
            return all(_same(one.get(name), other.get(name)) for name in {*one, *other})
        case list(), list():
            return len(one) == len(other) and all(map(_same, one, other))
        case float(), float() if math.isnan(one):
            return math.isnan(other)
    return bool(one == other)


def _before(one: Replayed, number: int) -> int | None:
    """The number that a row had when a step read it; None where it came in later."""
    if number:
        return one.behind[number - 1]
    return one.origins[0][1] if one.origins else None


def _prompts(replay: Replay, number: int, one: Replayed) -> Iterator[TracedPrompt]:
    """What a step asked about a row. Its requests are made anew from the row as it was; which of equal ones were its
    own is told by their place."""
    asked = replay.lookups.get(number, [])
    behind = one.behind[number]
    if number not in one.before:
        if asked and behind is not None and behind < len(asked):
            yield _told(replay, asked[behind], asked[behind].request)
        return
    wanted = replay.requests(number, one.before[number])
    at = _before(one, number)
    for turn, want in enumerate(wanted):
        place = (at or 0) * len(wanted) + turn
        mine = asked[place] if place < len(asked) else None
        if mine is None or mine.digest != want.digest:
            mine = next((found for found in asked if found.digest == want.digest), want)
        yield _told(replay, mine, want.request)


def _told(replay: Replay, lookup: Lookup, request: Request | None) -> TracedPrompt:
    use, answer = lookup.use, replay.answer(lookup)
    # A hosted model is sent a seed only where the user gives one.
    sent = use.seed is not None or use.spec.engine != "api"
    seed = use.seed_of(lookup.key, lookup.occurrence, lookup.attempt) if sent else None
    sampling = {name: value for name, value in use.options.items() if name not in ("system", "seed")}
    messages = request.messages if request is not None else ()
    prompt = TracedPrompt(use.spec.model, use.spec.engine, messages, sampling, seed, lookup.attempt + 1)
    if answer is None:
        return prompt
    return replace(
        prompt,
        answer=answer.text,
        reasoning=answer.reasoning,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        seconds=answer.seconds,
        cost=answer.cost,
    )


def _made_by(job: PlannedJob) -> str:
    inputs = ", ".join(put.path for put in job.inputs)
    return f"{_runs_code(job)}, from {inputs}" if inputs else _runs_code(job)


def _runs_code(job: PlannedJob) -> str:
    step = next((step for step in job.rule.steps if not step.kind.pure), job.rule.steps[-1])
    return f"{step.label} is code that nobody replays"
