"""Pictures of a graph: an indented tree, Mermaid, dot."""

from __future__ import annotations

import json
from typing import Literal

from dreammake.plan.flowchart import Shape, flowchart
from dreammake.plan.plan import Plan

_MARKS = {"fresh": " ", "build": "*", "follow": "+"}


def draw(plan: Plan, form: Literal["text", "mermaid", "dot"]) -> str:
    """The plan's jobs and sources; stale ones are marked: `*` to build, `+` may follow."""
    if form == "text":
        return _text(plan)
    return _mermaid(plan) if form == "mermaid" else _dot(plan)


def _text(plan: Plan) -> str:
    lines: list[str] = []
    told: set[str] = set()
    makers = plan.graph.makers
    stack = [(job.id, 0) for job in reversed(plan.graph.jobs) if not job.needed_by]
    while stack:
        path, depth = stack.pop()
        job = makers.get(path)
        mark = _MARKS[plan.verdicts[job.id].action] if job else "."
        again = job is not None and job.id in told and bool(job.inputs)
        lines.append(f"{mark} {'    ' * min(depth, 20)}{path}{'  (above)' if again else ''}")
        if job is not None and not again:
            told.add(job.id)
            stack += [(put.path, depth + 1) for put in reversed(job.inputs)]
    return "\n".join([*lines, "", "* to build, + may follow, . source"])


def _edges(plan: Plan) -> list[tuple[str, str, str]]:
    """(input, job, rule), once each."""
    found = {}
    for job in plan.graph.jobs:
        for put in job.inputs:
            maker = plan.graph.makers.get(put.path)
            found[(maker.id if maker else put.path, job.id)] = job.rule.name
    return [(source, target, rule) for (source, target), rule in found.items()]


def _mermaid(plan: Plan) -> str:
    nodes: dict[str, Shape] = dict.fromkeys(plan.verdicts, "target")
    nodes.update(dict.fromkeys(plan.graph.sources, "source"))
    return flowchart(nodes, _edges(plan), {verdict.job.id for verdict in plan.todo})


def _dot(plan: Plan) -> str:
    lines = ["digraph dreamfile {", "    rankdir=LR; node [shape=box];"]
    for path, verdict in plan.verdicts.items():
        style = "" if verdict.action == "fresh" else " [style=dashed]"
        lines.append(f"    {json.dumps(path)}{style};")
    lines += [f"    {json.dumps(path)} [shape=ellipse];" for path in plan.graph.sources]
    lines += [
        f"    {json.dumps(source)} -> {json.dumps(target)} [label={json.dumps(rule)}];"
        for source, target, rule in _edges(plan)
    ]
    return "\n".join([*lines, "}"])
