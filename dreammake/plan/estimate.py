"""What a job would ask of models: counted, not asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from dreammake.core.options import OptionSet
from dreammake.core.prices import price_of
from dreammake.core.trainer import Size, Trainer
from dreammake.core.values import ModelSpec, models_in
from dreammake.lang.dreamfile import StepDecl
from dreammake.plan.columns import first_input
from dreammake.plan.graph import Graph, PlannedJob

CHARACTERS_A_TOKEN = 4
GUESSED_ANSWER = 200
"""Tokens of an answer where nothing else is known."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Requests of one job, or of many. `exact` is False where an input is still to be built: then it is "at most".

    `total` is None where not even that is known. `cost` is in dollars, None where no price is known; `seconds` None
    where nothing was measured yet.
    """

    total: int | None = 0
    cached: int = 0
    to_run: int = 0
    exact: bool = True
    tokens: int = 0
    cost: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """What the answers that a model gave were like: tokens each, and seconds a prompt with as many at once as it takes.
    None: it gave none."""

    tokens: float | None = None
    seconds: float | None = None


def together(prompts: Iterable[Prompts]) -> Prompts:
    """The sum; a part that is unknown makes it inexact."""
    all_ = list(prompts)
    costs = [one.cost for one in all_ if one.cost is not None]
    times = [one.seconds for one in all_ if one.seconds is not None]
    return Prompts(
        sum(one.total or 0 for one in all_),
        sum(one.cached for one in all_),
        sum(one.to_run for one in all_),
        all(one.exact and one.total is not None for one in all_),
        sum(one.tokens for one in all_),
        sum(costs) if costs else None,
        sum(times) if times else None,
    )


def asking_steps(job: PlannedJob) -> list[StepDecl]:
    """The steps of a job that ask a model for answers."""
    return [step for step in job.rule.steps if step.kind.model_option in step.settings and not step.kind.embeds]


def can_rehearse(graph: Graph, job: PlannedJob) -> bool:
    """Whether the steps of a job may be run without building: they run no code of the user's, and reach nowhere."""
    steps = job.rule.steps
    if not all(step.kind.pure for step in steps):
        return False
    names = graph.names(job)
    return not any(step.kind.elsewhere(step.options(names)) for step in steps)


class AtMost:
    """Upper bounds on rows and prompts where rows are still to be made. `built` counts the rows of a dataset that is
    what it will be, and gives None for any other path; `pace_of` tells how a model answers."""

    def __init__(
        self,
        graph: Graph,
        built: Callable[[str], int | None],
        pace_of: Callable[[PlannedJob, ModelSpec], Pace] = lambda job, spec: Pace(),
    ) -> None:
        self._graph = graph
        self._built = built
        self._pace_of = pace_of
        self._rows: dict[str, int | None] = {}

    def prompts(self, job: PlannedJob) -> Prompts:
        """What the job may ask, none of it known to be cached."""
        found: list[Prompts] = []
        names = self._graph.names(job)
        asking = asking_steps(job)
        for step, count in self._steps(job):
            if step not in asking:
                continue
            options = step.options(names)
            total = self._total(job, step, options, count)
            if total is None:
                return Prompts(None, exact=False)
            for spec in models_in(options[step.kind.model_option]):
                found.append(self._of_step(job, options, spec, total))
        return replace(together(found), exact=False)

    def _total(self, job: PlannedJob, step: StepDecl, options: OptionSet, count: int | None) -> int | None:
        """How often a step asks each of its models at most, where it gets so many rows."""
        if step.kind.named != "method":
            return None if count is None else count * step.kind.asks(options)
        measured = next((put.path for put in job.inputs if put.name == "eval"), None)
        resources = job.setting("resources") or {}
        processes = (resources.get("gpus") or 1) * (resources.get("nodes") or 1)
        size = Size(count, 0 if measured is None else self.rows(measured), processes)
        trainer: type[Trainer] = self._graph.catalog.find("trainers", step.name or "")
        return trainer.judged(options, size)

    def _of_step(self, job: PlannedJob, options: OptionSet, spec: ModelSpec, total: int) -> Prompts:
        pace, price = self._pace_of(job, spec), price_of(spec)
        limit = options.values.get("max_tokens") or spec.options.get("max_tokens")
        each = pace.tokens or GUESSED_ANSWER
        judged = options.values.get("max_completion_length") or 0
        sent = total * (_length(options) // CHARACTERS_A_TOKEN + judged)
        made = total * (min(each, limit) if limit else each)
        cost = None if price is None or price.free else price.cost(sent, made)
        seconds = None if pace.seconds is None else total * pace.seconds
        return Prompts(total, 0, total, False, round(sent + made), cost, seconds)

    def rows(self, path: str) -> int | None:
        """How many rows a dataset has, or can have. Fills in needs first, so that no chain is too long."""
        stack = [path]
        while stack:
            here = stack[-1]
            job = self._graph.makers.get(here)
            known = self._built(here)
            if here in self._rows or known is not None or job is None or job.unknown is not None:
                self._rows.setdefault(here, known)
                stack.pop()
                continue
            first = _first_input(job)
            if first is not None and first not in self._rows:
                stack.append(first)
                continue
            steps = list(self._steps(job))
            last = job.rule.steps[-1]
            count = last.kind.most(last.options(self._graph.names(job)), steps[-1][1])
            for put in job.outputs:
                self._rows[put.path] = count
        return self._rows[path]

    def _steps(self, job: PlannedJob) -> Iterable[tuple[StepDecl, int | None]]:
        """Each step with the rows that it gets; one that makes rows of its own, with those that it makes."""
        names = self._graph.names(job)
        first = _first_input(job)
        count = self.rows(first) if first is not None else None
        for step in job.rule.steps:
            after = step.kind.most(step.options(names), count)
            yield step, after if step.kind.source else count
            count = after


def _first_input(job: PlannedJob) -> str | None:
    first = first_input(job)
    return None if first is None or job.rule.steps[0].kind.source else first.path


def _length(options: object) -> int:
    """Characters of the texts that are sent for each row, before they are filled."""
    texts = [getattr(value, "source", "") for value in getattr(options, "values", {}).values()]
    return sum(len(text) for text in texts)
