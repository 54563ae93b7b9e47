"""The graph: from wanted targets backwards to the jobs that make them. Iterative: a chain of 10,000 is no deeper
than one of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError, Errors
from dreammake.core.job import Kind, Put
from dreammake.core.span import Span
from dreammake.core.spelling import nearest
from dreammake.core.values import NOTHING
from dreammake.lang.context import NotKnownYet
from dreammake.lang.dreamfile import Dreamfile, Names, Rule
from dreammake.lang.namespace import Namespace
from dreammake.plan.implied import Implied, implied_inputs
from dreammake.plan.matching import Match, Matcher, fill
from dreammake.plan.ports import Disk
from dreammake.plan.recipe import Recipe, Shared, check_functions, function_of, recipe_of, shared_of


@dataclass(slots=True, eq=False)
class PlannedJob:
    """A rule bound to concrete targets. `id` is the path of its first output.

    `roles` names each input for the recipe: its name, or its position among the unnamed ones.
    `unknown` says which target must be built before the inputs are known.
    """

    rule: Rule
    wildcards: Mapping[str, Any]
    inputs: tuple[Put, ...]
    outputs: tuple[Put, ...]
    roles: tuple[str, ...] = ()
    needs: list[PlannedJob] = field(default_factory=list)
    needed_by: list[PlannedJob] = field(default_factory=list)
    unknown: NotKnownYet | None = None
    names: Names = NOTHING
    """What every expression of the Dreamfile can read."""

    @property
    def id(self) -> str:
        return self.outputs[0].path

    def setting(self, name: str, default: Any = None) -> Any:
        """A setting of the rule (`retries`, `priority`, `resources`, ...) for this job."""
        found = self.rule.settings.get(name)
        if found is None:
            return default
        value = found.value_for({**self.names, **self.wildcards, "wildcards": Namespace(self.wildcards)})
        return default if value is None else value


@dataclass(slots=True)
class Graph:
    """Jobs in an order in which each comes after what it needs, and the sources that they read."""

    dreamfile: Dreamfile
    disk: Disk
    catalog: Catalog
    jobs: list[PlannedJob] = field(default_factory=list)
    makers: dict[str, PlannedJob] = field(default_factory=dict)
    """The job that makes each path."""
    sources: dict[str, Span | None] = field(default_factory=dict)
    pending: list[NotKnownYet] = field(default_factory=list)
    """Gathering rules whose inputs are not known yet."""
    _shared: dict[str, Shared] = field(default_factory=dict)

    def recipe(self, job: PlannedJob) -> Recipe:
        """What the job would do."""
        return recipe_of(job.rule, self.shared(job.rule), self.names(job))

    def shared(self, rule: Rule) -> Shared:
        shared = self._shared.get(rule.name)
        if shared is None:
            shared = self._shared[rule.name] = shared_of(rule, self.disk, self.catalog)
        return shared

    def names(self, job: PlannedJob) -> dict[str, Any]:
        """What the expressions of a job read: the Dreamfile's names, wildcards, inputs and outputs."""
        if not job.rule.steps:
            return dict(self.dreamfile.names)
        return job_names(self.dreamfile, job.rule, job.wildcards, job.inputs)


def job_names(dreamfile: Dreamfile, rule: Rule, wildcards: Mapping[str, Any], inputs: Iterable[Put]) -> dict[str, Any]:
    """Names for the options of a job. Outputs are marks, which the worker replaces by where it builds."""
    by_name: dict[str, Any] = {declared.name: None for declared in rule.inputs if declared.name}
    paths = []
    for put in inputs:
        paths.append(put.path)
        if put.name is None:
            continue
        held = by_name.get(put.name)
        by_name[put.name] = put.path if held is None else [*([held] if isinstance(held, str) else held), put.path]
    marks = [output_mark(number) for number in range(len(rule.outputs))]
    return {
        **dreamfile.names,
        **wildcards,
        "wildcards": Namespace(wildcards),
        "input": Namespace(by_name),
        "output": Namespace({put.name: mark for put, mark in zip(rule.outputs, marks, strict=True) if put.name}),
        "_inputs": paths,
        "_outputs": marks,
    }


def output_mark(number: int) -> str:
    """What stands for an output in a command until the worker knows its temporary path."""
    return f"\ue000{number}\ue001"


class GraphBuilder:
    """Builds one graph for wanted targets. Collects every error before it raises."""

    def __init__(self, dreamfile: Dreamfile, disk: Disk, catalog: Catalog) -> None:
        self.dreamfile = dreamfile
        self.disk = disk
        self.matcher = Matcher(dreamfile.rules)
        self.graph = Graph(dreamfile, disk, catalog)
        self.errors = Errors()
        self._stack: list[tuple[str, Span | None, str]] = []
        self._implied: dict[str, Implied] = {}
        self._kinds: dict[str, Kind] = {}

    def build(self, wanted: Iterable[str | Rule]) -> Graph:
        """The graph of all that the wanted paths and gathering rules need. Raises DreamError."""
        for target in wanted:
            if isinstance(target, Rule):
                self._gather(target)
            else:
                self._stack.append((target, None, ""))
        while self._stack:
            path, span, asker = self._stack.pop()
            if path not in self.graph.makers and path not in self.graph.sources:
                self._add(path, span, asker)
        self.errors.check()
        self._link()
        return self.graph

    def _gather(self, rule: Rule) -> None:
        """Want all inputs of a rule that has no outputs."""
        try:
            found = self._inputs(rule, {})
        except NotKnownYet as unknown:
            self.graph.pending.append(unknown)
            self._stack.append((normal(unknown.target), rule.span, rule.name))
            return
        except DreamError as error:
            self.errors.take(error)
            return
        for put, span in reversed(found):
            self._stack.append((put.path, span, rule.name))

    def _add(self, path: str, span: Span | None, asker: str) -> None:
        try:
            match = self.matcher.match(path)
            if match is None:
                self._add_source(path, span, asker)
            else:
                self._add_job(match, path)
        except DreamError as error:
            self.errors.take(error)
            self.graph.sources[path] = span

    def _add_source(self, path: str, span: Span | None, asker: str) -> None:
        self.graph.sources[path] = span
        if self.disk.signature(path) is not None:
            return
        known = {*self.matcher.literal, *self.disk.siblings(path)}
        near = nearest(path, known)
        if asker:
            message = f"no rule makes `{path}`, and it does not exist"
            hint = f"did you mean `{near}`?" if near else f'add a rule with `output: "{path}"`, or put the file there'
            self.errors.add("missing-input", message, span, label=f"read by `{asker}`", hint=hint)
        else:
            near = nearest(path, {*known, *self.dreamfile.rules})
            hint = f"did you mean `{near}`?" if near else "`dreammake list` shows the rules and their targets"
            self.errors.add("unknown-target", f"no rule makes `{path}`, and it does not exist", hint=hint)

    def _add_job(self, match: Match, path: str) -> None:
        rule, wildcards = match.rule, match.wildcards
        kind = self._made_by(rule)
        if len(rule.outputs) == 1:
            outputs: tuple[Put, ...] = (Put(rule.outputs[0].name, path, kind),)
        else:
            outputs = tuple(Put(output.name, fill(output, wildcards), kind) for output in rule.outputs)
        job = PlannedJob(rule, wildcards, (), outputs, names=self.dreamfile.names)
        for put in outputs:
            self.graph.makers[put.path] = job
        self.graph.jobs.append(job)
        try:
            found = self._inputs(rule, wildcards)
        except NotKnownYet as unknown:
            job.unknown = unknown
            found = [(Put(None, normal(unknown.target)), rule.span)]
        job.inputs, job.roles = self._with_implied(job, found)
        places = {put.path: place for put, place in found}
        for put in reversed(job.inputs):
            self._stack.append((put.path, places.get(put.path, rule.span), rule.name))

    def _made_by(self, rule: Rule) -> Kind:
        """What the rule makes: a function that takes `output` writes plain files. Raises DreamError for a function that
        is not there."""
        kind = self._kinds.get(rule.name)
        if kind is None:
            step = rule.steps[-1]
            kind = step.kind.makes
            for one in rule.steps:
                check_functions(one, self.disk)
            reference = function_of(step)
            if reference is not None and "output" in (self.disk.parameters(reference) or ()):
                kind = "file"
            self._kinds[rule.name] = kind
        return kind

    def _inputs(self, rule: Rule, wildcards: Mapping[str, Any]) -> list[tuple[Put, Span]]:
        """The declared inputs of a rule, with the place of each. Raises NotKnownYet."""
        found: list[tuple[Put, Span]] = []
        names: dict[str, Any] | None = None
        for declared in rule.inputs:
            if declared.literal is not None:
                found.append((Put(declared.name, normal(declared.literal)), declared.span))
                continue
            if names is None:
                names = {**self.dreamfile.names, **wildcards, "wildcards": Namespace(wildcards)}
            value = declared.compute(names)
            if value is None:
                continue
            for path in value if isinstance(value, list | tuple) else [value]:
                if not isinstance(path, str):
                    self.errors.add("wrong-type", "an input is a path, a list of paths, or None", declared.span)
                    continue
                found.append((Put(declared.name, normal(path)), declared.span))
        return found

    def _with_implied(self, job: PlannedJob, found: list[tuple[Put, Span]]) -> tuple[tuple[Put, ...], tuple[str, ...]]:
        """The declared inputs and those that options imply, each with its role in the recipe."""
        puts = [put for put, _ in found]
        count: dict[str | None, int] = {}
        roles: list[str] = []
        for put in puts:
            at = count[put.name] = count.get(put.name, -1) + 1
            roles.append(f"{at}" if put.name is None else put.name if not at else f"{put.name} {at}")
        implied = self._implied.get(job.rule.name)
        if implied is None:
            implied = self._implied[job.rule.name] = Implied.of(job.rule, self.disk)
        if implied.any and job.unknown is None:
            names = job_names(self.dreamfile, job.rule, job.wildcards, puts)
            there = {put.path for put in puts}
            for role, path, kind in implied_inputs(implied, names, self._maker, self.disk):
                if path not in there:
                    there.add(path)
                    puts.append(Put(None, path, kind))
                    roles.append(role)
        return tuple(puts), tuple(roles)

    def _maker(self, path: str) -> Rule | None:
        match = self.matcher.match(path)
        return None if match is None else match.rule

    def _link(self) -> None:
        """Connect jobs, tell the kind of each input, and sort so that needs come first. A cycle is an error."""
        makers = self.graph.makers
        waiting: dict[PlannedJob, int] = {}
        for job in self.graph.jobs:
            found = [makers.get(put.path) for put in job.inputs]
            job.inputs = tuple(
                put if maker is None else Put(put.name, put.path, maker.outputs[0].kind)
                for put, maker in zip(job.inputs, found, strict=True)
            )
            for maker in dict.fromkeys(found):
                if maker is not None:
                    job.needs.append(maker)
                    maker.needed_by.append(job)
            waiting[job] = len(job.needs)
        ready = [job for job in reversed(self.graph.jobs) if not waiting[job]]
        order: list[PlannedJob] = []
        while ready:
            job = ready.pop()
            order.append(job)
            for after in job.needed_by:
                waiting[after] -= 1
                if not waiting[after]:
                    ready.append(after)
        if len(order) < len(self.graph.jobs):
            _fail_on_cycle([job for job in self.graph.jobs if waiting[job]])
        self.graph.jobs = order


def _fail_on_cycle(left: list[PlannedJob]) -> None:
    """Raise the cycle among jobs that wait for each other."""
    job, seen = left[0], {}
    inside = set(left)
    path: list[PlannedJob] = []
    while job not in seen:
        seen[job] = len(path)
        path.append(job)
        job = next(need for need in job.needs if need in inside)
    cycle = [*path[seen[job] :], job]
    shown = [job.id for job in cycle]
    if len(shown) > 12:
        shown = [*shown[:6], "…", *shown[-5:]]
    errors = Errors()
    errors.add(
        "cycle",
        "targets need each other: " + " <- ".join(shown),
        cycle[0].rule.span,
        hint='a wildcard that counts down needs an end: `"round{r - 1}" if r > 1 else None`',
    )
    errors.check()


def normal(path: str) -> str:
    """A path as the graph names it: no `./`, no doubled or final slashes."""
    if path.startswith("./") or "//" in path or path.endswith("/") or "/./" in path:
        head = "/" if path.startswith("/") else ""
        return head + "/".join(part for part in path.split("/") if part not in ("", "."))
    return path
