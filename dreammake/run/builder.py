"""The build loop: start what is ready and fits the pools, then reap. The only place where jobs are begun.

It is told a plan and carries it out through an executor; it decides nothing twice. A job that only follows is judged
again when what it reads is built: where that came out the same, it is fresh after all (early cut-off).
"""

from __future__ import annotations

import heapq
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobFresh,
    JobProgress,
    JobStarted,
)
from dreammake.core.job import Job
from dreammake.core.values import NOTHING
from dreammake.plan.bind import job_of
from dreammake.plan.card import card_of
from dreammake.plan.graph import PlannedJob
from dreammake.plan.plan import Plan, Verdict
from dreammake.plan.pool import Pools
from dreammake.plan.ports import Done, Entry, Executor, Failed, Progressed, Record
from dreammake.plan.priority import priorities
from dreammake.plan.recipe import Recipe, Shared, recipe_of
from dreammake.plan.resources import wants_of
from dreammake.plan.stale import input_fingerprints, inputs_text, judge
from dreammake.run.messages import diagnostic_from_json

TICK = 0.1
"""Longest wait, in seconds, between two looks at the clock and at signals."""
LINE_SECONDS = 0.05
LINE_JOBS = 3
"""How long a job may wait in line behind short ones, and how many stand there."""
ONE_CPU: Mapping[str, int] = {"cpus": 1}
BATCH = 100
SPARED = 0.2
"""Jobs that ended are written down together: so many of them, or those that took so many seconds."""


@dataclass(slots=True)
class Outcome:
    """How a build ended: targets by what became of them."""

    built: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How a build behaves: `keep_going` after failures; what is written to the build log goes to `remember`."""

    keep_going: bool = False
    log_path: Callable[[str], str] = lambda target: ""
    remove: Callable[[str], None] = lambda path: None
    """Removes a `temp` target."""
    extra_claim: Mapping[str, Any] = NOTHING
    """What every job is told beside what the pools gave it: whether it is offline, what it may spend."""
    change: Callable[[Job], Job] = lambda job: job
    """What each job becomes before it is started: a canary's has few rows."""


@dataclass(slots=True)
class _Running:
    """A job under way: what it took from the pools, when it began, and what it makes."""

    claim: dict[str, Any]
    started: float
    recipe: Recipe

    @property
    def log(self) -> str:
        """The path of the job's log; "" where it said nothing."""
        path = str(self.claim.get("log", ""))
        return path if os.path.exists(path) else ""


class Builder:
    """One round: everything that a plan knows how to build."""

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        pools: Pools,
        log: Any,
        show: Callable[[Event], None],
        tick: Callable[[], None],
        policy: Policy,
        stopping: Callable[[], int],
        run: str,
    ) -> None:
        self.plan = plan
        self.outcome = Outcome()
        self._executor = executor
        self._pools = pools
        self._log = log
        self._show = show
        self._tick = tick
        self._policy = policy
        self._stopping = stopping
        self._run = run
        self._waiting: dict[str, int] = {}
        self._ready: list[tuple[tuple[float, ...], str]] = []
        self._running: dict[str, _Running] = {}
        self._ended: list[tuple[Record, Shared, Entry]] = []
        self._told: list[Event] = []
        self._prepared: dict[str, tuple[Recipe, Job]] = {}
        self._lines: dict[str, deque[str]] = {}
        """The jobs that wait behind one that runs, to run in its place."""
        self._seconds: dict[str, float] = {}
        """How long the last job of each rule took."""
        self._attempts: dict[str, int] = {}
        self._closed: set[str] = set()
        self._priority = priorities(plan)
        self._stopped = 0

    def run(self) -> Outcome:
        """Build until nothing is left that can be built."""
        todo = {verdict.job.id for verdict in self.plan.todo}
        for verdict in self.plan.todo:
            self._waiting[verdict.job.id] = sum(need.id in todo for need in verdict.job.needs)
        self._settle(verdict for verdict in self.plan.todo if not self._waiting[verdict.job.id])
        try:
            while self._ready or self._running:
                self._heed_signals()
                self._start_some()
                # While jobs run: tell and write down what ended, and get the next ones ready.
                self._tell()
                if self._ended and (len(self._ended) >= BATCH or self._costly()):
                    self._write_down()
                if not self._running:
                    break
                self._prepare_some()
                self._reap(self._executor.wait(TICK))
                self._tick()
        finally:
            self._write_down()
        self._tell()
        done = {*self.outcome.built, *self.outcome.fresh, *self.outcome.failed}
        self.outcome.skipped = [job for job in todo if job not in done]
        return self.outcome

    def _heed_signals(self) -> None:
        wanted = self._stopping()
        if wanted > self._stopped:
            self.outcome.interrupted = True
            self._stopped = wanted
            self._executor.stop(now=wanted > 1)

    @property
    def _may_start(self) -> bool:
        return not self._stopped and (self._policy.keep_going or not self.outcome.failed)

    def _start_some(self) -> None:
        """Start what fits, best first; what does not fit now is looked at again when something ends."""
        if not self._may_start:
            self._ready.clear()
            return
        held: list[tuple[tuple[float, ...], str]] = []
        while self._ready and self._pools.running < self._pools.cpus and len(held) < 100:
            entry = heapq.heappop(self._ready)
            verdict = self.plan.verdicts[entry[1]]
            wants = wants_of(verdict.job)
            if self._pools.fits(wants):
                self._start(verdict, self._pools.take(wants))
            else:
                held.append(entry)
        for entry in held:
            heapq.heappush(self._ready, entry)
        self._line_up()

    def _line_up(self) -> None:
        """Put jobs behind short ones that run, so that their worker need not wait for this loop. Only jobs that take
        one CPU and nothing else: the next one fits where the one before it was."""
        for length in range(LINE_JOBS):
            for target, line in self._lines.items():
                if len(line) == length and self._ready and self._may_join(line, target):
                    _, behind = heapq.heappop(self._ready)
                    line.append(behind)
                    self._start(self.plan.verdicts[behind], {"cpus": 1}, behind=target)

    def _may_join(self, line: Sequence[str], target: str) -> bool:
        """Would the best of the ready jobs do well to wait in this line?"""
        before = [self.plan.verdicts[one].job for one in (target, *line)]
        if sum(self._seconds.get(job.rule.name, LINE_SECONDS) for job in before) >= LINE_SECONDS:
            return False
        after = self.plan.verdicts[self._ready[0][1]].job
        return wants_of(before[0]) == wants_of(after) == ONE_CPU

    def _settle(self, verdicts: Iterable[Verdict]) -> None:
        """All that these jobs read is there: they are ready. A follower may turn out fresh, and so settle others; one
        whose inputs are unknown waits for the next round."""
        waiting = list(verdicts)
        while waiting:
            verdict = waiting.pop()
            job = verdict.job
            if job.unknown is not None:
                continue
            if verdict.action == "follow":
                reasons = judge(self.plan.graph, job, verdict.record, self.plan.contents, self._log)
                if not reasons:
                    self._is_fresh(verdict)
                    waiting += self._release(job)
                    continue
                verdict.reasons = reasons
            heapq.heappush(self._ready, (self._priority[job.id], job.id))

    def _is_fresh(self, verdict: Verdict) -> None:
        assert verdict.record is not None
        for output in verdict.record.outputs:
            self.plan.contents[output.path] = output.fingerprint
        self.outcome.fresh.append(verdict.job.id)
        self._told.append(JobFresh(verdict.job.id))

    def _release(self, job: PlannedJob) -> list[Verdict]:
        """Those that waited for the job only. `temp` targets that nobody needs any more are removed."""
        self._closed.add(job.id)
        released = []
        for after in job.needed_by:
            if after.id in self._waiting:
                self._waiting[after.id] -= 1
                if not self._waiting[after.id]:
                    released.append(self.plan.verdicts[after.id])
        for one in (job, *job.needs):
            self._remove_temporary(one)
        return released

    def _remove_temporary(self, job: PlannedJob) -> None:
        if not any(output.temp for output in job.rule.outputs) or not job.needed_by:
            return
        if all(after.id in self._closed or after.id not in self._waiting for after in job.needed_by):
            for output, put in zip(job.rule.outputs, job.outputs, strict=True):
                if output.temp:
                    self._policy.remove(put.path)

    def _start(self, verdict: Verdict, claim: dict[str, Any], behind: str | None = None) -> None:
        job = verdict.job
        claim |= {"log": self._policy.log_path(job.id), **self._policy.extra_claim}
        self._attempts[job.id] = self._attempts.get(job.id, 0) + 1
        ready = self._prepared.pop(job.id) if job.id in self._prepared else self._prepare(job)
        recipe, document = ready
        self._running[job.id] = _Running(claim, time.time(), recipe)
        self._executor.start(document, claim, behind)
        if behind is None:
            self._lines[job.id] = deque()
            self._tell_start(job.id)

    def _tell_start(self, target: str) -> None:
        verdict = self.plan.verdicts[target]
        roots = [reason.kind for reason in verdict.reasons if reason.root]
        reasons = tuple(dict.fromkeys(roots or [reason.kind for reason in verdict.reasons]))
        self._told.append(JobStarted(target, verdict.job.rule.name, reasons, self._attempts[target]))

    def _prepare(self, job: PlannedJob) -> tuple[Recipe, Job]:
        inputs = {put.path: self.plan.contents[put.path] for put in job.inputs}
        names = self.plan.graph.names(job)
        recipe = recipe_of(job.rule, self.plan.graph.shared(job.rule), names)
        return recipe, self._policy.change(job_of(job, names, card_of(job, recipe, inputs), wants_of(job)))

    def _prepare_some(self) -> None:
        """Have the documents of the next jobs at hand, so that no worker waits: the best ones stand in front."""
        for _, target in self._ready[: 2 * self._pools.running]:
            if target not in self._prepared:
                self._prepared[target] = self._prepare(self.plan.verdicts[target].job)

    def _tell(self) -> None:
        """Show what happened."""
        told, self._told = self._told, []
        for event in told:
            self._show(event)

    def _reap(self, messages: Iterable[tuple[str, Done | Failed | Progressed]]) -> None:
        for target, message in messages:
            match message:
                case Progressed(fields):
                    self._told.append(JobProgress(target, **fields))
                case Done():
                    self._done(target, message)
                case Failed():
                    self._failed(target, message)

    def _end(self, target: str) -> tuple[Verdict, _Running]:
        running = self._running.pop(target)
        self._pools.give_back(running.claim)
        line = self._lines.pop(target)
        if line:
            after = line.popleft()
            self._lines[after] = line
            # It runs already, in the place of this one.
            self._pools.take(ONE_CPU)
            self._running[after].started = time.time()
            self._tell_start(after)
        return self.plan.verdicts[target], running

    def _done(self, target: str, done: Done) -> None:
        verdict, running = self._end(target)
        job, recipe = verdict.job, running.recipe
        self._seconds[job.rule.name] = done.seconds
        old = {output.path: output.fingerprint for output in verdict.record.outputs} if verdict.record else {}
        changed = any(old.get(output.path) != output.fingerprint for output in done.outputs)
        inputs = input_fingerprints(job, self.plan.contents)
        assert inputs is not None
        record = Record(
            target,
            job.rule.name,
            recipe.shared.digest,
            recipe.own_text,
            inputs_text(inputs),
            done.outputs,
            time.time(),
            done.seconds,
            done.facts,
        )
        entry = Entry(self._run, target, job.rule.name, running.started, done.seconds, "built", done.facts, running.log)
        self._ended.append((record, recipe.shared, entry))
        verdict.record = record
        for output in done.outputs:
            self.plan.contents[output.path] = output.fingerprint
        self.outcome.built.append(target)
        self._told.append(JobFinished(target, done.seconds, changed, done.facts))
        self._settle(self._release(job))

    def _costly(self) -> bool:
        """Would it be a pity to do again what ended, if the build were killed before it is written down?"""
        return sum(record.seconds for record, _, _ in self._ended) > SPARED

    def _write_down(self) -> None:
        """Record what ended, in one transaction."""
        if self._ended:
            self._log.put(self._ended)
            self._ended = []

    def _failed(self, target: str, failed: Failed) -> None:
        verdict, running = self._end(target)
        job = verdict.job
        retries = job.setting("retries", 0)
        interrupted = failed.interrupted or bool(self._stopped)
        again = not interrupted and self._attempts[target] <= retries
        seconds = time.time() - running.started
        outcome = "interrupted" if failed.interrupted else "failed"
        entry = Entry(self._run, target, job.rule.name, running.started, seconds, outcome, {}, running.log)
        # Where even this cannot be written (a full disk), the job's own failure is what matters.
        with suppress(DreamError):
            self._log.add(entry)
        if failed.interrupted:
            return
        diagnostics = tuple(_placed(data, job) for data in failed.diagnostics)
        self._told.append(JobFailed(target, diagnostics, running.log, again))
        if again:
            heapq.heappush(self._ready, (self._priority[target], target))
        else:
            self.outcome.failed.append(target)


def _placed(data: Mapping[str, Any], job: PlannedJob) -> Diagnostic:
    """The failure of a job, shown at its rule, or at its only step."""
    steps = job.rule.steps
    span = steps[0].span if len(steps) == 1 else job.rule.span
    return diagnostic_from_json(data, span=span)
