"""The chain behind a target: every job that it was made by, and what came from outside: models, datasets, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dreammake.core.options import Model
from dreammake.core.values import Function, ModelSpec, Template
from dreammake.lang.dreamfile import StepDecl
from dreammake.plan.flowchart import Shape, flowchart
from dreammake.plan.graph import PlannedJob
from dreammake.plan.plan import Plan
from dreammake.plan.ports import Record
from dreammake.plan.reproducibility import reproducibility
from dreammake.plan.shown import OUTSIDE, public, shown

HUB = "hf://"
BASES = ("base", "reward_model", "value_model", "ref_model", "teacher")
"""Options of a training that name a model by its folder, its target, or its name on the Hub."""
LARGEST_PICTURE = 60
"""Jobs that a picture shows one by one; of more it shows the rules."""


@dataclass(frozen=True, slots=True)
class Part:
    """What no rule makes: a model by its provider's name, a dataset of the Hub, or a file or folder of the project.

    `where` is the engine that runs a model, `hub`, `project`, or `machine` for what lies outside of the project.
    `served` is the address of an endpoint that the Dreamfile names: what answers there is then not known by the
    provider's name alone.
    """

    kind: Literal["model", "dataset"]
    name: str
    where: str
    revision: str | None = None
    served: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A model as one step uses it: the target that it is, or else the part, and the options that change an answer."""

    model: str
    target: bool
    sampling: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepTold:
    """One step in words: its texts (prompts) and its other options as JSON."""

    label: str
    texts: Mapping[str, str]
    settings: Mapping[str, Any]
    asked: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One job of the chain. `record` is what the build log knows of its last build: when, how long, what it cost."""

    job: PlannedJob
    steps: tuple[StepTold, ...]
    parts: tuple[Part, ...]
    fingerprints: Mapping[str, str]
    """The reproducibility fingerprint of each output."""
    content: Mapping[str, str]
    """The fingerprint of what each output holds."""
    record: Record | None

    @property
    def title(self) -> str:
        """Its outputs, by their paths."""
        return ", ".join(put.path for put in self.job.outputs)


@dataclass(frozen=True, slots=True)
class Chain:
    """The jobs behind some targets, those first that the others need, and all their parts, once each."""

    links: tuple[Link, ...]
    parts: tuple[Part, ...] = field(default=())

    @property
    def last(self) -> Link:
        return self.links[-1]

    def total(self, fact: str) -> float:
        """The sum of a fact (`prompt_tokens`, `cost`, ...) over all jobs."""
        return sum(link.record.facts.get(fact) or 0 for link in self.links if link.record is not None)

    def picture(self) -> str:
        """The chain as a Mermaid flowchart: targets, sources, models."""
        by_rule = len(self.links) > LARGEST_PICTURE
        nodes: dict[str, Shape] = {}
        edges: dict[tuple[str, str, str], None] = {}
        name = {
            put.path: link.job.rule.name if by_rule else link.title for link in self.links for put in link.job.outputs
        }
        for link in self.links:
            here = name[link.job.id]
            nodes[here] = "target"
            label = "" if by_rule else link.job.rule.name
            before = [name.get(put.path, public(put.path)) for put in link.job.inputs]
            for part in link.parts:
                nodes[part.name] = "model" if part.kind == "model" else "source"
                before.append(part.name)
            edges |= {(source, here, label): None for source in before if source != here}
        return flowchart(nodes, edges)


def chain_of(plan: Plan, job: PlannedJob) -> Chain:
    """The chain behind a job of a plan. What is not built yet has no record."""
    behind = _behind(job)
    return _chain(plan, [one for one in plan.graph.jobs if one in behind])


def whole_chain(plan: Plan) -> Chain:
    """All jobs of a plan, as one chain."""
    return _chain(plan, plan.graph.jobs)


def _chain(plan: Plan, jobs: Iterable[PlannedJob]) -> Chain:
    identities = reproducibility(plan)
    links = tuple(_link(plan, job, identities) for job in jobs)
    parts = dict.fromkeys(part for link in links for part in link.parts)
    return Chain(links, tuple(parts))


def _behind(job: PlannedJob) -> set[PlannedJob]:
    found, waiting = {job}, [job]
    while waiting:
        for need in waiting.pop().needs:
            if need not in found:
                found.add(need)
                waiting.append(need)
    return found


def _link(plan: Plan, job: PlannedJob, identities: Mapping[str, str]) -> Link:
    names = plan.graph.names(job)
    record = plan.verdicts[job.id].record
    commits = record.facts.get("revisions", {}) if record is not None else {}
    told: list[StepTold] = []
    parts: dict[Part, None] = {}
    for step in job.rule.steps:
        values = step.values(names)
        told.append(_told(step, values, plan))
        parts |= dict.fromkeys(_pinned(part, commits) for part in _parts(step, values, plan))
    for put in job.inputs:
        if put.path not in plan.graph.makers:
            kind: Literal["model", "dataset"] = "model" if plan.graph.disk.kind(put.path) == "model" else "dataset"
            outside = put.path.startswith(OUTSIDE)
            parts[_elsewhere(kind, put.path) if outside else Part(kind, put.path, "project")] = None
    return Link(
        job,
        tuple(told),
        tuple(parts),
        {put.path: identities[put.path] for put in job.outputs},
        {put.path: plan.contents.get(put.path) or "" for put in job.outputs},
        record,
    )


def _pinned(part: Part, commits: Mapping[str, str]) -> Part:
    """The part at the commit that its build read, where it is a dataset of the Hub."""
    if part.kind == "model" or part.where != "hub":
        return part
    return replace(part, revision=commits.get(f"{HUB}{part.name}@{part.revision or 'main'}", part.revision))


def _told(step: StepDecl, values: Mapping[str, Any], plan: Plan) -> StepTold:
    texts: dict[str, str] = {}
    settings: dict[str, Any] = {}
    for name, value in values.items():
        option = step.settings[name].option
        if isinstance(value, Template):
            texts[name] = value.source
        elif not isinstance(option, Model) and option.result and value is not None:
            settings[name] = shown(value)
    asked = tuple(Asked(public(spec.model), spec.target, _sampling(spec, plan)) for spec in _models(values))
    return StepTold(step.label, texts, settings, asked)


def _sampling(spec: ModelSpec, plan: Plan) -> dict[str, Any]:
    declared = plan.graph.catalog.find("models", spec.engine).Options.declared()
    return {name: shown(value) for name, value in spec.options.items() if declared[name].result and value is not None}


def _parts(step: StepDecl, values: Mapping[str, Any], plan: Plan) -> Iterator[Part]:
    for spec in _models(values):
        if not spec.target and not _in_project(spec.model, plan):
            if spec.model.startswith(OUTSIDE):
                yield _elsewhere("model", spec.model)
                continue
            revision, served = spec.options.get("revision"), spec.options.get("base_url")
            yield Part("model", spec.model, spec.engine, revision, served)
    if step.kind.makes == "model":
        for name in BASES:
            base = values.get(name)
            if isinstance(base, str) and base not in plan.graph.makers and not _in_project(base, plan):
                if base.startswith(OUTSIDE):
                    yield _elsewhere("model", base)
                else:
                    yield Part("model", base, "hub", values.get("revision") if name == "base" else None)
    for text in _texts(list(values.values())):
        if text.startswith(HUB):
            yield Part("dataset", text.removeprefix(HUB).strip("/"), "hub", values.get("revision"))


def _in_project(name: str, plan: Plan) -> bool:
    return name in plan.graph.sources


def _elsewhere(kind: Literal["model", "dataset"], path: str) -> Part:
    return Part(kind, public(path), "machine")


def _models(value: Any) -> Iterator[ModelSpec]:
    """The models that a value holds, at any depth."""
    match value:
        case ModelSpec():
            yield value
        case Function(args=args, kwargs=kwargs):
            yield from _models([*args, *kwargs.values()])
        case Mapping():
            yield from _models(list(value.values()))
        case list() | tuple():
            for item in value:
                yield from _models(item)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list() | tuple():
            for item in value:
                yield from _texts(item)
