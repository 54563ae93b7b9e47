"""A build from the command line's point of view: lock, plan, rounds of the build loop, seal."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.events import BuildFinished, BuildStarted, Event, GraphGrew, JobFailed, JobProgress
from dreammake.core.job import Job
from dreammake.core.secrets import SECRETS
from dreammake.core.values import NOTHING
from dreammake.plan.plan import Plan, revisions
from dreammake.plan.pool import Pools
from dreammake.plan.ports import Executor
from dreammake.plan.selection import Selection
from dreammake.run.builder import Builder, Outcome, Policy
from dreammake.run.job_log import hide_in_file
from dreammake.run.perform import remove
from dreammake.run.worker import Worker
from dreammake.session.environment import environment_now
from dreammake.session.money import check_offline, check_prices, what_is_left
from dreammake.session.pools import check_pools, pools_here
from dreammake.session.sealing import seal
from dreammake.session.session import ROUNDS, Session
from dreammake.store.ledger import Ledger
from dreammake.store.lock import BuildLock

if TYPE_CHECKING:
    from dreammake.store.shared_answers import SharedAnswers

KEPT_RUNS = 20
"""Runs whose job logs are kept."""


@dataclass(frozen=True, slots=True)
class SharedCache:
    """A cache that other projects and machines share: a folder or URL, given to unless it is `read_only`."""

    url: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the command line says of a build."""

    targets: Sequence[str] = ()
    exclude: Sequence[str] = ()
    jobs: int | None = None
    keep_going: bool = False
    force: bool = False
    pools: Mapping[str, int] = field(default_factory=dict)
    confirm: Callable[[Plan], bool] | None = None
    """Asked before anything runs; False ends the build."""
    budget: float | None = None
    """Dollars that answers may cost; None: nothing bounds them."""
    offline: bool = False
    """Answers come from the prompt caches alone."""
    executor: str = "local"
    change: Callable[[Job], Job] = lambda job: job
    """What each job becomes before it is started."""
    shared: SharedCache | None = None
    seal_path: str = ""
    seal_key: str = ""
    """Where a verdict of "nothing to do" is kept, and what it is valid for."""


@dataclass(slots=True)
class Signals:
    """Counts Ctrl-C (and SIGTERM): once means no new work, twice means now."""

    count: int = 0
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, *_: object) -> None:
        self.count += 1


class Building:
    """One build: `run` gives its exit code."""

    def __init__(
        self,
        session: Session,
        options: BuildOptions,
        show: Callable[[Event], None],
        tick: Callable[[], None],
        waiting: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._session = session
        self._options = options
        self._told = show
        self._tick = tick
        self._waiting = waiting
        self._name = time.strftime("%Y%m%d-%H%M%S") + f"-{os.getpid()}"
        self._state = session.place.state
        self._total = Outcome()
        self._planned_fresh = 0
        self._cost = 0.0
        self._over_budget = False
        self._logs = str(self._state / "jobs" / self._name)

    def run(self) -> int:
        """Build what is stale: 0 done, 1 a job failed, 130 interrupted. Raises DreamError for a wrong plan."""
        began = time.monotonic()
        # The first plan is made before anything is written: a wrong Dreamfile leaves no trace.
        plan, selection = self._plan()
        lock = BuildLock(self._state / "lock")
        with Signals() as signals:
            if not lock.acquire(self._waiting, lambda: signals.count):
                return 130
            try:
                if self._session.log.changed():
                    self._session.look_again()
                    plan, selection = self._plan()
                self._session.begin_writing()
                finished = self._rounds(plan, selection, signals)
            finally:
                lock.release()
        if not finished:
            return 130 if signals.count else 1
        total = self._total
        self._show(
            BuildFinished(
                len(total.built),
                len(total.failed),
                len(total.skipped),
                self._planned_fresh + len(total.fresh),
                time.monotonic() - began,
                total.interrupted,
                self._cost,
                what_is_left(self._session, selection) if self._over_budget else NOTHING,
            )
        )
        return 130 if total.interrupted else 1 if total.failed or total.skipped else 0

    def _show(self, event: Event) -> None:
        """Show an event, without secrets in what a job says of its failure."""
        if isinstance(event, JobFailed):
            self._over_budget |= any(diagnostic.code == "budget-reached" for diagnostic in event.diagnostics)
            event = replace(event, diagnostics=tuple(map(SECRETS.hide_from, event.diagnostics)))
            hide_in_file(event.log)
        if isinstance(event, JobProgress) and event.note:
            event = replace(event, note=SECRETS.hide(event.note))
        self._told(event)

    def _plan(self) -> tuple[Plan, Selection]:
        selection = self._session.select(self._options.targets, self._options.exclude, self._options.force)
        plan = self._session.plan(selection)
        check_pools(plan, self._pools())
        return plan, selection

    def _pools(self) -> Pools:
        executor = self._session.catalog.find("executors", self._options.executor)
        return pools_here(self._options.jobs, self._options.pools, executor)

    def _rounds(self, plan: Plan, selection: Selection, signals: Signals) -> bool:
        """Build until no part of the graph is unknown. False where nothing was begun after all."""
        self._clear_temporary()
        self._remember(plan)
        if not plan.todo and not plan.graph.pending:
            self._planned_fresh = len(plan.verdicts)
            self._show(BuildStarted(0, 0, self._planned_fresh))
            self._seal(plan)
            return True
        if self._options.confirm is not None and not self._options.confirm(plan):
            return False
        if self._options.offline:
            check_offline(plan)
        ledger = self._new_ledger(plan)
        self._session.log.put_run(self._name, environment_now())
        executor = self._executor()
        answers = self._shared_answers()
        if answers is not None:
            answers.take()
        try:
            self._build(selection, plan, executor, signals)
        finally:
            executor.close()
            if answers is not None and signals.count < 2:
                answers.give()
            self._cost = ledger.account().spent
            ledger.close()
        return True

    def _shared_answers(self) -> SharedAnswers | None:
        shared = self._options.shared
        if shared is None:
            return None
        from dreammake.store.shared_answers import SharedAnswers
        from dreammake.store.shared_place import open_place

        return SharedAnswers(open_place(shared.url), self._state / "prompts", _warn, gives=not shared.read_only)

    def _executor(self) -> Executor:
        kind = self._session.catalog.find("executors", self._options.executor)
        made: Executor = kind(lambda connection: Worker(self._session.place.root, self._state, connection).serve())
        return made

    def _new_ledger(self, plan: Plan) -> Ledger:
        """The ledger of this build. Raises DreamError where its budget could not be kept."""
        if self._options.budget is not None:
            check_prices(plan)
        return Ledger.begin(self._ledger_path, self._options.budget)

    @property
    def _ledger_path(self) -> Path:
        return self._state / "tmp" / "ledger"

    def _build(self, selection: Selection, plan: Plan, executor: Executor, signals: Signals) -> None:
        self._show(BuildStarted(len(plan.of("build")), len(plan.of("follow")), len(plan.of("fresh"))))
        for _ in range(ROUNDS):
            self._planned_fresh = len(plan.of("fresh")) - len(self._total.built)
            pools = self._pools()
            claim: dict[str, Any] = {
                "ledger": str(self._ledger_path),
                "offline": self._options.offline,
                "revisions": revisions(plan),
            }
            if (shared := self._options.shared) is not None:
                claim["shared"] = {"url": shared.url, "takes": not self._options.force, "gives": not shared.read_only}
            policy = Policy(self._options.keep_going, self._log_path, self._remove, claim, self._options.change)
            builder = Builder(
                plan,
                executor,
                pools,
                self._session.log,
                self._show,
                self._tick,
                policy,
                lambda: signals.count,
                self._name,
            )
            outcome = builder.run()
            self._add(outcome)
            self._session.tried |= {*outcome.built}
            if outcome.failed or outcome.interrupted or not outcome.built:
                break
            if not plan.graph.pending and all(job.unknown is None for job in plan.graph.jobs):
                break
            plan = self._grow(Selection(selection.wanted), plan)
        else:
            raise AssertionError("the graph grows without end")
        if not (self._total.failed or self._total.skipped or self._total.interrupted):
            self._seal_after(plan)

    def _grow(self, selection: Selection, before: Plan) -> Plan:
        """Plan again with what is known now."""
        for path in before.graph.makers:
            self._session.disk.forget(path)
        plan = self._session.plan(selection)
        self._remember(plan)
        more = len(plan.graph.jobs) - len(before.graph.jobs)
        if more > 0:
            self._show(GraphGrew(self._total.built[-1], more))
        self._total.skipped = []
        return plan

    def _seal_after(self, plan: Plan) -> None:
        """Judge once more what is all built now, so that the next run can know at once that nothing is to do."""
        for record in self._session.log.records().values():
            for output in record.outputs:
                self._session.disk.forget(output.path)
        plan = self._session.judged_again(plan, frozenset(self._total.built))
        self._remember(plan)
        if not plan.todo and not plan.graph.pending:
            self._seal(plan)

    def _seal(self, plan: Plan) -> None:
        if self._options.seal_path:
            seal(self._session, plan, self._options.seal_path, self._options.seal_key)

    def _remember(self, plan: Plan) -> None:
        """Keep what the plan learned about files."""
        disk, log = self._session.disk, self._session.log
        if disk.learned:
            log.put_files(disk.learned)
            disk.learned = {}
        if plan.touched:
            changed = []
            for verdict in plan.verdicts.values():
                if verdict.record is not None and any(output.path in plan.touched for output in verdict.record.outputs):
                    outputs = tuple(plan.touched.get(output.path, output) for output in verdict.record.outputs)
                    changed.append((verdict.record, outputs))
            log.put_outputs(changed)

    def _add(self, outcome: Outcome) -> None:
        self._total.built += outcome.built
        self._total.fresh += outcome.fresh
        self._total.failed += outcome.failed
        self._total.skipped = outcome.skipped
        self._total.interrupted = outcome.interrupted

    def _log_path(self, target: str) -> str:
        """Where the log of a job is, if it says anything."""
        return f"{self._logs}/{target.replace('/', '__')[:180]}.log"

    def _remove(self, path: str) -> None:
        remove(self._session.disk.locate(path))

    def _clear_temporary(self) -> None:
        """What killed builds left, and old logs: this one holds the lock, so nobody works there."""
        shutil.rmtree(self._state / "tmp", ignore_errors=True)
        for folder in ("tmp", "jobs"):
            (self._state / folder).mkdir(parents=True, exist_ok=True)
        for old in sorted(path for path in (self._state / "jobs").iterdir() if path.is_dir())[:-KEPT_RUNS]:
            shutil.rmtree(old, ignore_errors=True)


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
