"""A project as one command sees it: Dreamfile, disk, build log, plans."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError
from dreammake.core.secrets import SECRETS
from dreammake.lang.dreamfile import Dreamfile, Rule
from dreammake.lang.resolve import World, resolve
from dreammake.plan.columns import check_columns
from dreammake.plan.graph import Graph, GraphBuilder
from dreammake.plan.matching import Matcher
from dreammake.plan.plan import Plan, make_plan
from dreammake.plan.selection import Selection, everything, select
from dreammake.session.place import Place
from dreammake.store.build_log import BuildLogFile
from dreammake.store.project import ProjectFolder

T = TypeVar("T")
COLUMN_ERRORS = ("unknown-column", "wrong-kind", "missing-option", "no-such-output", "out-of-range")
"""What is wrong with a rule itself, and not with a file that it lacks."""
ROUNDS = 1000
"""More growths of the graph than any workflow has."""


@dataclass(slots=True)
class Session:
    """A project as one command sees it. `overrides` are config values by dotted name.

    It leaves no file behind until `begin_writing`.
    """

    place: Place
    overrides: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    retries_failed_rows: bool = True
    """Whether rows that failed in an earlier build make their target stale; offline they cannot."""
    tried: set[str] = field(default_factory=set)
    """Targets whose rows that failed were tried by this very command."""
    _cached: dict[str, Any] = field(default_factory=dict)
    _checked: bool = False

    @property
    def catalog(self) -> Catalog:
        return self._once("catalog", Catalog)

    @property
    def log(self) -> BuildLogFile:
        return self._once("log", lambda: BuildLogFile(self.place.state / "state.sqlite"))

    @property
    def disk(self) -> ProjectFolder:
        return self._once("disk", lambda: ProjectFolder(self.place.root, self.log.files()))

    @property
    def dreamfile(self) -> Dreamfile:
        return self._once("dreamfile", self._resolve)

    def _resolve(self) -> Dreamfile:
        SECRETS.add_environment(self.environment)
        world = World(self.disk, self.environment, self.catalog)
        dreamfile = resolve(self.place.file, world, self.overrides)
        matcher = Matcher(dreamfile.rules)
        self.disk.is_target = lambda path: matcher.match(path) is not None
        return dreamfile

    def graph(self, wanted: Iterable[str | Rule]) -> Graph:
        """The graph behind some targets, its columns not yet checked."""
        graph = GraphBuilder(self.dreamfile, self.disk, self.catalog).build(wanted)
        if SECRETS:
            for path in (*graph.makers, *graph.sources):
                SECRETS.reveal(path)
        return graph

    def select(self, words: Sequence[str], exclude: Sequence[str] = (), force: bool = False) -> Selection:
        return select(self.dreamfile, words, exclude, force, self.graph)

    def select_or_all(self, words: Sequence[str]) -> Selection:
        """What the words name; without any, every target that has a plain name."""
        return self.select(words) if words else Selection(tuple(everything(self.dreamfile)))

    def plan(self, selection: Selection) -> Plan:
        """The plan for a selection: grown as far as fresh data tells, columns checked. Raises DreamError."""
        for _ in range(ROUNDS):
            graph = self.graph(selection.wanted)
            plan = make_plan(graph, self.disk, self.log, selection.forced, retry=self._retries)
            if not self._settle(plan):
                break
        check_columns(plan.graph)
        self._check_the_rest(plan)
        return plan

    def judged_again(self, plan: Plan, made: Collection[str]) -> Plan:
        """The plan as it stands after a build that `made` these targets: the same graph, compared anew."""
        return make_plan(plan.graph, self.disk, self.log, (), retry=self._retries, made=made)

    def _retries(self, target: str) -> bool:
        return self.retries_failed_rows and target not in self.tried

    def _check_the_rest(self, plan: Plan) -> None:
        """Check the columns of rules that are not wanted now: a Dreamfile is right as a whole, or it is not. Files
        that are missing for them do not matter."""
        if self._checked:
            return
        self._checked = True
        used = {job.rule.name for job in plan.graph.jobs}
        if all(rule.name in used or not rule.outputs for rule in self.dreamfile.rules.values()):
            return
        try:
            check_columns(self.graph(everything(self.dreamfile)))
        except DreamError as error:
            if any(diagnostic.code in COLUMN_ERRORS for diagnostic in error.diagnostics):
                raise

    def _settle(self, plan: Plan) -> bool:
        """Let `column()` read what the plan found fresh. True where the graph can grow by it."""
        assert self.disk.settled is not None
        unknown = {unknown.target for unknown in plan.graph.pending}
        unknown |= {job.unknown.target for job in plan.graph.jobs if job.unknown is not None}
        makers = plan.graph.makers
        now = {target for target in unknown if target in makers and plan.verdicts[makers[target].id].action == "fresh"}
        grown = not now <= self.disk.settled
        self.disk.settled |= now
        return grown

    def look_again(self) -> None:
        """Forget what was seen of the disk and the log: somebody else was at work."""
        self.close()
        self._cached.clear()

    def begin_writing(self) -> None:
        """From now on the build log is written; what was read of it stays."""
        self.log.begin_writing()

    def close(self) -> None:
        if "log" in self._cached:
            self.log.close()

    def _once(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._cached:
            self._cached[name] = make()
        return cast(T, self._cached[name])
