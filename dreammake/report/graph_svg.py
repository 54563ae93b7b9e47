"""A picture of a graph as SVG: layers from left to right, each target behind all that it needs.

The layout is Sugiyama's (1981) in its plainest form: layers by the longest path, long edges through points of their
own in every layer between, and a few sweeps that put each node at the middle of its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape

from dreammake.plan.plan import Plan

LARGEST = 80
"""Jobs that are drawn one by one; of more, the rules are drawn."""
_SWEEPS = 8
_CHARACTER = 7.2
"""Width of a character, in pixels, of the font below."""
_HEIGHT, _ROW, _GAP, _MARGIN = 40, 58, 64, 16

_STYLE = """
    text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2328; }
    text.rule { font-size: 10px; fill: #6b7280; }
    path { fill: none; stroke: #9aa4b2; stroke-width: 1.4; }
    rect { fill: #ffffff; stroke: #57606a; stroke-width: 1.2; }
    .source rect { fill: #f0f2f5; stroke: #c3cad3; }
    .build rect { fill: #fff4e0; stroke: #d9822b; stroke-width: 1.8; }
    .follow rect { fill: #fff9ee; stroke: #d9822b; stroke-dasharray: 5 3; }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3; } text.rule { fill: #8b949e; } path { stroke: #545d68; }
        rect { fill: #1c2128; stroke: #768390; } .source rect { fill: #161b22; stroke: #444c56; }
        .build rect { fill: #3a2a12; stroke: #e8973f; } .follow rect { fill: #2a2318; stroke: #e8973f; }
    }
"""


@dataclass(slots=True)
class _Node:
    """A box, or a point that a long edge goes through (no label)."""

    label: str = ""
    below: str = ""
    look: str = "fresh"
    layer: int = 0
    row: float = 0.0
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @property
    def width(self) -> float:
        return max(len(self.label), len(self.below) * 0.85) * _CHARACTER + 24 if self.label else 0.0


def draw_svg(plan: Plan) -> str:
    """The jobs of a plan with their sources: orange is to be built, dashed may follow, grey is a source."""
    nodes = _by_rule(plan) if len(plan.graph.jobs) > LARGEST else _by_job(plan)
    _put_in_layers(nodes)
    layers = _with_points(nodes)
    _order(nodes, layers)
    return _drawn(nodes, layers)


def _by_job(plan: Plan) -> dict[str, _Node]:
    nodes = {path: _Node(path, look="source") for path in plan.graph.sources}
    for job in plan.graph.jobs:
        nodes[job.id] = _Node(job.id, job.rule.name, plan.verdicts[job.id].action)
    for job in plan.graph.jobs:
        for put in job.inputs:
            maker = plan.graph.makers.get(put.path)
            _connect(nodes, maker.id if maker else put.path, job.id)
    return nodes


def _by_rule(plan: Plan) -> dict[str, _Node]:
    actions: dict[str, list[str]] = {}
    for job in plan.graph.jobs:
        actions.setdefault(job.rule.name, []).append(plan.verdicts[job.id].action)
    nodes = {}
    for rule, found in actions.items():
        look = next((action for action in ("build", "follow") if action in found), "fresh")
        nodes[rule] = _Node(rule, f"{len(found):,} targets" if len(found) > 1 else "1 target", look)
    for job in plan.graph.jobs:
        for need in job.needs:
            if need.rule.name != job.rule.name:
                _connect(nodes, need.rule.name, job.rule.name)
    return nodes


def _connect(nodes: Mapping[str, _Node], before: str, after: str) -> None:
    if before not in nodes[after].before:
        nodes[after].before.append(before)
        nodes[before].after.append(after)


def _put_in_layers(nodes: Mapping[str, _Node]) -> None:
    """The longest way from a node without inputs; sources stand right before the first that reads them. An edge of a
    cycle between rules (wildcards that loop) points backwards, and counts for nothing."""
    waiting = {name: len(node.before) for name, node in nodes.items()}
    ready = [name for name, count in waiting.items() if not count]
    done: set[str] = set()
    while len(done) < len(nodes):
        if not ready:
            ready = [min((name for name in nodes if name not in done), key=lambda name: waiting[name])]
        name = ready.pop(0)
        if name in done:
            continue
        done.add(name)
        node = nodes[name]
        node.layer = max((nodes[before].layer + 1 for before in node.before if before in done), default=0)
        for after in node.after:
            waiting[after] -= 1
            if not waiting[after]:
                ready.append(after)
    for node in nodes.values():
        if not node.before and node.after:
            node.layer = max(0, min(nodes[after].layer for after in node.after) - 1)


def _with_points(nodes: dict[str, _Node]) -> list[list[str]]:
    """The names in each layer, with a point in every layer that an edge passes."""
    for name in list(nodes):
        for after in list(nodes[name].after):
            first, last = nodes[name].layer, nodes[after].layer
            if last - first < 2:
                continue
            nodes[name].after.remove(after)
            nodes[after].before.remove(name)
            previous = name
            for layer in range(first + 1, last):
                point = f"{name}\0{after}\0{layer}"
                nodes[point] = _Node(layer=layer)
                _connect(nodes, previous, point)
                previous = point
            _connect(nodes, previous, after)
    layers: list[list[str]] = [[] for _ in range(max((node.layer for node in nodes.values()), default=0) + 1)]
    for name, node in nodes.items():
        layers[node.layer].append(name)
    return layers


def _order(nodes: Mapping[str, _Node], layers: list[list[str]]) -> None:
    for layer in layers:
        _stack(nodes, layer)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers if forward else reversed(layers):
            middles = {name: _middle(nodes, name, forward) for name in layer}
            layer.sort(key=middles.__getitem__)
            _stack(nodes, layer, middles)


def _middle(nodes: Mapping[str, _Node], name: str, forward: bool) -> float:
    node = nodes[name]
    near = [nodes[other].row for other in (node.before if forward else node.after)]
    return sum(near) / len(near) if near else node.row


def _stack(nodes: Mapping[str, _Node], layer: Iterable[str], wanted: Mapping[str, float] | None = None) -> None:
    """Give the nodes of a layer their rows: where they want to be, and none on another."""
    row = -1.0
    for name in layer:
        row = max(row + 1, wanted[name] if wanted else row + 1)
        nodes[name].row = row


def _drawn(nodes: Mapping[str, _Node], layers: list[list[str]]) -> str:
    lefts, x = [], float(_MARGIN)
    widths = [max((nodes[name].width for name in layer), default=0.0) for layer in layers]
    for width in widths:
        lefts.append(x)
        x += width + _GAP
    top = min((node.row for node in nodes.values()), default=0.0)
    rows = max((node.row for node in nodes.values()), default=0.0) - top

    def y(node: _Node) -> float:
        return _MARGIN + (node.row - top) * _ROW + _HEIGHT / 2

    lines = []
    for node in nodes.values():
        for name in node.after:
            after = nodes[name]
            start = lefts[node.layer] + (node.width or widths[node.layer])
            lines.append(_edge(start, y(node), lefts[after.layer], y(after)))
        if not node.label:
            lines.append(_edge(lefts[node.layer], y(node), lefts[node.layer] + widths[node.layer], y(node)))
    lines += [_box(node, lefts[node.layer], y(node)) for node in nodes.values() if node.label]
    width, height = x - _GAP + _MARGIN, 2 * _MARGIN + rows * _ROW + _HEIGHT
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *lines, "</svg>", ""])


def _edge(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f'<path d="M{x:.1f} {y:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"/>'


def _box(node: _Node, x: float, y: float) -> str:
    texts = f'<text x="{x + 12:.1f}" y="{y + (-1 if node.below else 4):.1f}">{escape(node.label)}</text>'
    if node.below:
        texts += f'<text class="rule" x="{x + 12:.1f}" y="{y + 13:.1f}">{escape(node.below)}</text>'
    box = f'<rect x="{x:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{node.width:.1f}" height="{_HEIGHT}" rx="7"/>'
    return f'<g class="{node.look}">{box}{texts}</g>'
