"""Which answers the targets of a Dreamfile can reach: every job's requests are made in memory, and none is asked."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dreammake.core.cache_file import Amount, CacheFile
from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Model
from dreammake.core.values import ModelSpec, models_in
from dreammake.lang.dreamfile import StepDecl
from dreammake.plan.estimate import asking_steps, can_rehearse
from dreammake.plan.graph import PlannedJob
from dreammake.plan.plan import Plan
from dreammake.plan.selection import Selection, everything
from dreammake.session.estimating import ProbeWork, drain, prober_of
from dreammake.session.session import Session
from dreammake.store.cache_files import cache_files, drop_unreached, remove_file, unreached
from dreammake.store.prompt_cache import PromptCache

_FINGERPRINT = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Reach:
    """What the targets ask of each cache. Where that cannot be known, the whole file is kept: by its name; by engine
    and model, where the model or its adapter is still to be built; or every one."""

    keys: dict[str, set[bytes]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    models: set[tuple[str, str]] = field(default_factory=set)
    all: bool = False

    def keeps(self, file: CacheFile) -> bool:
        """Is the whole file kept?"""
        if file.damaged:
            return False
        # A model that was built, and one in a file, goes by the fingerprint of its content.
        model = "" if _FINGERPRINT.fullmatch(file.model) else file.model
        return self.all or file.path.name in self.whole or (file.engine, model) in self.models


@dataclass(frozen=True, slots=True)
class Garbage:
    """What no target can reach in one cache, and the keys that one can; `whole`: none."""

    file: CacheFile
    amount: Amount
    whole: bool
    reached: frozenset[bytes] = frozenset()


def garbage(session: Session) -> list[Garbage]:
    """What the caches of a project hold in vain. Raises DreamError where the Dreamfile cannot be planned."""
    reach = reach_of(session)
    found = []
    for file in cache_files(session.place.state / "prompts"):
        if reach.keeps(file):
            continue
        if file.damaged:
            found.append(Garbage(file, Amount(size=file.size), whole=True))
            continue
        reached = frozenset(reach.keys.get(file.path.name, ()))
        amount = unreached(file.path, reached)
        if amount.answers:
            whole = amount.answers >= file.answers
            size = file.size if whole else amount.size
            found.append(Garbage(file, Amount(amount.answers, size, amount.cost), whole, reached))
    return found


def collect(found: Iterable[Garbage]) -> None:
    """Drop what `garbage` found; hold the build lock meanwhile."""
    for one in found:
        if one.whole:
            remove_file(one.file.path)
        else:
            drop_unreached(one.file.path, one.reached)


def reach_of(session: Session, selection: Selection | None = None) -> Reach:
    """What the selected targets can reach. Without a selection: all of the Dreamfile, those with plain names, and those
    that were built."""
    reach = Reach()
    dreamfile = session.dreamfile
    plan = session.plan(selection or _all_targets(session))
    for job in plan.graph.jobs:
        _reach_of_job(session, plan, job, reach)
    if plan.graph.pending:
        for rule in dreamfile.rules.values():
            for step in rule.steps:
                if step.kind.model_option in step.settings and not step.kind.embeds:
                    for spec in _specs_of(step.settings[step.kind.model_option].value):
                        _keep_whole(session, plan, None, spec, reach)
                for spec in _embedders_of(step, None):
                    _keep_whole(session, plan, None, spec, reach, embeds=True)
    return reach


def _all_targets(session: Session) -> Selection:
    wanted = list(everything(session.dreamfile))
    for target in session.log.records():
        if target not in wanted and session.disk.is_target(target):
            with suppress(DreamError):  # it can be built no more
                session.graph([target])
                wanted.append(target)
    return Selection(tuple(wanted))


def _reach_of_job(session: Session, plan: Plan, job: PlannedJob, reach: Reach) -> None:
    names = plan.graph.names(job) if job.unknown is None else None
    for step in job.rule.steps:
        for spec in _embedders_of(step, names):  # vectors are dear, and which of them are reached is seldom known
            _keep_whole(session, plan, job, spec, reach, embeds=True)
    asking = asking_steps(job)
    if not asking:
        return
    specs = [spec for step in asking for spec in _specs_of(_model_of(step, names))]
    if job.unknown is not None or not _is_known(session, plan, job, asking, specs, reach):
        for spec in specs:
            _keep_whole(session, plan, job, spec, reach)


def _is_known(
    session: Session, plan: Plan, job: PlannedJob, asking: list[StepDecl], specs: list[Any], reach: Reach
) -> bool:
    """Note the keys of a job's requests. False where they depend on what is not there yet."""
    readable = all(plan.contents.get(put.path) is not None for put in job.inputs)
    if not readable or not can_rehearse(plan.graph, job):
        return False
    with tempfile.TemporaryDirectory() as folder:
        work = ProbeWork(session, plan, job, Path(folder), lambda path: _Watched(path, reach))
        try:
            drain(plan, job, work)
        except DreamError:
            return False
        probes = work.prober.probes
        return len(probes) >= len(specs) and (len(probes) == 1 or not any(probe.to_run for probe in probes))


def _embedders_of(step: StepDecl, names: Any) -> list[Any]:
    """The models that make vectors for a step."""
    found = [setting for setting in step.settings.values() if step.kind.embeds and isinstance(setting.option, Model)]
    given = [setting.value if names is None else setting.value_for(names) for setting in found]
    return [spec for value in given for spec in _specs_of(value)]


def _model_of(step: StepDecl, names: Any) -> Any:
    option = step.kind.model_option
    return step.settings[option].value if names is None else step.values(names)[option]


def _specs_of(value: Any) -> list[Any]:
    """The models of an option; what it holds where that is not known yet."""
    return list(models_in(value)) or [value]


def _keep_whole(
    session: Session, plan: Plan, job: PlannedJob | None, spec: Any, reach: Reach, *, embeds: bool = False
) -> None:
    if not isinstance(spec, ModelSpec):
        reach.all = True
        return
    try:
        reach.whole.add(prober_of(session, plan, job, lambda line: None).file_of(spec, embeds=embeds))
    except (KeyError, DreamError, OSError):
        reach.models |= {(spec.engine, ""), (spec.engine, spec.model)}


class _Watched(PromptCache):
    """A cache, read-only, that notes what it is asked for."""

    def __init__(self, path: Path, reach: Reach) -> None:
        super().__init__(path, readonly=True, say=lambda line: None)
        self._keys = reach.keys.setdefault(path.name, set())

    def lookup(self, keys: Iterable[bytes], max_tokens: int | None = None) -> Any:
        wanted = list(keys)
        self._keys.update(wanted)
        return super().lookup(wanted, max_tokens)
