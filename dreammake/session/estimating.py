"""Counts what a plan would ask of models: the steps before the question are run in memory, each request is looked up
in the prompt cache, and nothing is asked or written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Answer, Reader, Request
from dreammake.core.job import Put
from dreammake.core.rows import Rows
from dreammake.core.step import RowError, Spooled
from dreammake.core.values import ModelSpec
from dreammake.plan.estimate import AtMost, Pace, Prompts, asking_steps, can_rehearse
from dreammake.plan.graph import PlannedJob
from dreammake.plan.plan import Plan, Verdict
from dreammake.session.session import Session

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from dreammake.run.probing import Probe, Prober
    from dreammake.store.prompt_cache import PromptCache


def estimates(session: Session, plan: Plan) -> dict[str, Prompts]:
    """The prompts of every job to run that asks a model, by target."""
    paces: dict[str, Pace] = {}

    def pace_of(job: PlannedJob, spec: ModelSpec) -> Pace:
        if spec.name not in paces:
            paces[spec.name] = prober_of(session, plan, job, lambda line: None).pace_of(spec)
        return paces[spec.name]

    at_most = AtMost(plan.graph, lambda path: _rows_of(session, plan, path), pace_of)
    return {
        verdict.job.id: _of_job(session, plan, verdict, at_most)
        for verdict in plan.todo
        if asking_steps(verdict.job) and verdict.job.unknown is None
    }


def _rows_of(session: Session, plan: Plan, path: str) -> int | None:
    """The rows of a dataset that is what it will be."""
    from dreammake.store.dataset import is_dataset, open_dataset

    if plan.contents.get(path) is None:
        return None
    place = session.disk.locate(path)
    return open_dataset(place).count if place.is_dir() and is_dataset(place) else None


def _of_job(session: Session, plan: Plan, verdict: Verdict, at_most: AtMost) -> Prompts:
    job = verdict.job
    readable = all(plan.contents.get(put.path) is not None for put in job.inputs if put.kind != "model")
    if not readable or not can_rehearse(plan.graph, job):
        return at_most.prompts(job)
    with tempfile.TemporaryDirectory() as folder:
        work = ProbeWork(session, plan, job, Path(folder))
        broke = False
        try:
            drain(plan, job, work)
        except DreamError as error:
            # A later step may not bear the nulls that stand for missing answers; what was counted stays true. But an
            # endpoint that makes no sense is wrong now.
            if error.exit_code == 2:
                raise
            broke = True
        return _sum(work, len(asking_steps(job)), broke)


def drain(plan: Plan, job: PlannedJob, work: ProbeWork) -> None:
    """Run the steps up to the last one that asks."""
    names = plan.graph.names(job)
    steps = list(job.rule.steps)
    last = max(steps.index(step) for step in asking_steps(job))
    rows: Any = None
    if not steps[0].kind.source and job.inputs:
        rows = work.open(job.inputs[0].path)
    for number, step in enumerate(steps[: last + 1]):
        rows = step.kind().run(step.options(names), step.name, rows, StepWork(work, number))
    for _ in rows:
        pass


def _sum(work: ProbeWork, asking: int, broke: bool) -> Prompts:
    steps: dict[int, list[Probe]] = {}
    for number, probe in work.asked:
        steps.setdefault(number, []).append(probe)
    probes = [probe for number in sorted(steps) for probe in steps[number]]
    missing = False
    exact = not broke and not work.guesses and len(steps) == asking
    for number in sorted(steps):
        exact = exact and all(probe.exact for probe in steps[number]) and not missing
        missing = missing or any(probe.to_run > 0 for probe in steps[number])
    total = sum(probe.total for probe in probes)
    if broke or len(steps) < asking:
        total += (asking - len(steps)) * max((probe.total for probe in probes), default=0)
    costs = [probe.cost for probe in probes if probe.cost is not None]
    times = [probe.seconds for probe in probes if probe.seconds is not None]
    cached = sum(probe.cached for probe in probes)
    return Prompts(
        total,
        cached,
        total - cached,
        exact,
        sum(probe.tokens for probe in probes if probe.to_run),
        sum(costs) if costs else None,
        sum(times) if times else None,
    )


def prober_of(
    session: Session,
    plan: Plan,
    job: PlannedJob | None,
    say: Callable[[str], None],
    open_cache: Callable[[Path], PromptCache] | None = None,
) -> Prober:
    """What looks the requests of a job up, with the models that are its inputs."""
    from dreammake.run.probing import Prober
    from dreammake.run.request_key import TO_BE_BUILT

    inputs = () if job is None else job.inputs
    identities = {put.path: plan.contents.get(put.path) or TO_BE_BUILT for put in inputs}
    catalog, prompts = session.catalog, session.place.state / "prompts"
    engine_of = partial(catalog.find, "models")
    return Prober(prompts, engine_of, session.disk.locate, identities, say, open_cache)


class StepWork:
    """The `Work` of one step of a dry run: what it asks is counted as its own. Steps read each other lazily, so the
    last one asks first."""

    def __init__(self, work: ProbeWork, number: int) -> None:
        self._work = work
        self._number = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)

    def ask(self, model: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        answers = self._work.prober.ask(model, requests, reader)
        self._work.asked.append((self._number, self._work.prober.probes[-1]))
        return answers


class ProbeWork:
    """The `Work` of a dry run: it opens inputs and looks answers up; it writes only below a folder that goes."""

    def __init__(
        self,
        session: Session,
        plan: Plan,
        job: PlannedJob,
        folder: Path,
        open_cache: Callable[[Path], PromptCache] | None = None,
    ) -> None:
        self.inputs: tuple[Put, ...] = job.inputs
        self.outputs: tuple[Put, ...] = job.outputs
        self._disk = session.disk
        self._state = session.place.state
        self._folder = folder
        self._number = 0
        self.asked: list[tuple[int, Probe]] = []
        """What each step asked: its number, and the count."""
        self.guesses = False
        """Whether a request depends on vectors that are still to be made."""
        self.prober = prober_of(session, plan, job, self.say, open_cache)

    def open(self, path: str) -> Rows:
        from dreammake.store.dataset import open_dataset

        return open_dataset(self.path(path))

    def path(self, path: str) -> Path:
        return self._disk.locate(path)

    def folder(self) -> Path:
        self._number += 1
        folder = self._folder / str(self._number)
        os.mkdir(folder)
        return folder

    def output_folder(self) -> Path:
        return self.folder()

    def checkpoint_folder(self) -> Path:
        return self.folder()

    def spool(self, rows: Rows) -> Spooled:
        from dreammake.store.dataset import spool

        return spool(rows, self.folder())

    def embed(self, model: ModelSpec, texts: Sequence[str]) -> NDArray[float32] | None:
        found = self.prober.embed(model, texts)
        self.guesses = self.guesses or found is None
        return found

    def kept(self, dataset: str, model: ModelSpec | None, how: Any, make: Callable[[Path], None]) -> Path:
        from dreammake.run.kept import kept_folder

        with suppress(KeyError):  # the model is still to be built
            content = self.prober.identities.get(dataset, "")
            identity = None if model is None else self.prober.embedder_identity(model)
            found = kept_folder(self._state, dataset, content, model, identity, how)
            if found.there:
                return found.path
        folder = self.folder()
        make(folder)
        return folder

    def error(self, error: RowError) -> None:
        """Nothing was asked, so nothing is known to fail."""

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        """Nobody watches."""

    def say(self, line: str) -> None:
        """Nobody reads."""

    def tell(self, line: str) -> None:
        """Nobody watches."""
