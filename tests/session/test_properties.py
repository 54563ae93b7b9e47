"""Three properties on generated graphs: a second build does nothing; killed at any moment and built again equals a
clean build; an edit rebuilds exactly what depends on it."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.project import Project

RELAXED = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

Graph = list[tuple[int, ...]]
"""For each target, the earlier targets that it reads; one that reads none reads a source of its own."""


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(2, 7))
    return [
        tuple(sorted(draw(st.sets(st.integers(0, target - 1), max_size=3)))) if target else () for target in range(size)
    ]


def dreamfile(graph: Graph, marks: dict[int, str], pause: float = 0.0) -> str:
    """Datasets and plain files by turns. A mark stands in the target's own step."""
    everything = ", ".join(f'"out/{target}"' for target in range(len(graph)))
    rules = [f"rule all:\n    input: {everything}\n"]
    for target, needs in enumerate(graph):
        inputs = ", ".join(f'"out/{need}"' for need in needs) or f'"source{target}.txt"'
        mark = marks.get(target, "m")
        wait = f"sleep {pause}; " if pause else ""
        rules.append(
            f'rule r{target}:\n    input: {inputs}\n    output: "out/{target}"\n'
            f'    shell: "{wait}cat {{input}} > {{output}}; echo {target} {mark} >> {{output}}"\n'
        )
    return "\n".join(rules)


def downstream(graph: Graph, start: int) -> set[int]:
    found = {start}
    for target, needs in enumerate(graph):
        if found & set(needs):
            found.add(target)
    return found


def fresh_project(graph: Graph, folder: Path, marks: dict[int, str] | None = None, pause: float = 0.0) -> Project:
    project = Project(folder)
    project.file("Dreamfile", dreamfile(graph, marks or {}, pause))
    for target in range(len(graph)):
        project.file(f"source{target}.txt", f"source {target}\n")
    return project


def contents(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.root / "out").iterdir()}


@RELAXED
@given(graphs(), st.data())
def test_an_edit_rebuilds_exactly_what_depends_on_it(graph: Graph, data: st.DataObject) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        project = fresh_project(graph, folder)
        assert len(project.built()) == len(graph)
        assert project.built() == [], "a second build does nothing"
        edited = data.draw(st.integers(0, len(graph) - 1))
        project.file("Dreamfile", dreamfile(graph, {edited: "changed"}))
        expected = sorted(f"out/{target}" for target in downstream(graph, edited))
        planned = {target for target, action in project.plan().items() if action != "fresh"}
        assert sorted(planned) == expected
        assert project.built() == expected
        assert project.built() == []
    finally:
        shutil.rmtree(folder)


@RELAXED
@given(graphs(), st.integers(0, 1_000_000))
def test_killed_at_any_moment_and_built_again_equals_a_clean_build(graph: Graph, seed: int) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        clean = fresh_project(graph, folder / "clean", pause=0.02)
        clean.ok()
        killed = fresh_project(graph, folder / "killed", pause=0.02)
        process = killed.start("-j2")
        time.sleep(random.Random(seed).uniform(0.05, 0.5))
        process.kill()
        process.communicate()
        killed.ok()
        assert contents(killed) == contents(clean)
        assert killed.built() == []
    finally:
        shutil.rmtree(folder)
