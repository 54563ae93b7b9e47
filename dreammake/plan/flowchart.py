"""A flowchart in Mermaid's words: what `dag --mermaid` and cards draw."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

Shape = Literal["target", "source", "model"]

_DRAWN = {"target": '["{}"]', "source": '(["{}"])', "model": '{{{{"{}"}}}}'}


def flowchart(nodes: Mapping[str, Shape], edges: Iterable[tuple[str, str, str]], dashed: Collection[str] = ()) -> str:
    """From left to right: a box a target, a rounded one a source, a hexagon a model. Edges are (from, to, label); an
    empty label is none."""
    names = {node: f"n{at}" for at, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    lines += [f"    {names[node]}{_DRAWN[shape].format(_escaped(node))}" for node, shape in nodes.items()]
    for source, target, label in edges:
        arrow = f"-->|{label}|" if label else "-->"
        lines.append(f"    {names[source]} {arrow} {names[target]}")
    if dashed:
        lines += ["    classDef stale stroke-dasharray: 4 3"]
        lines += [f"    class {','.join(names[node] for node in nodes if node in dashed)} stale"]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
