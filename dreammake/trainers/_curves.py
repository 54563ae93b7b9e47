"""The curves of a training as one SVG: a panel a measure, equal bytes for equal logs, for light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

Points = Sequence[tuple[int, float]]
"""Steps and values."""

_LEFT_OUT = frozenset({"epoch", "step", "grad_norm", "num_tokens"})
_LAST = ("learning_rate",)
_WIDTH, _HEIGHT, _GAP = 340, 190, 24
_PLOT_LEFT, _PLOT_TOP, _PLOT_RIGHT, _PLOT_BOTTOM = 52, 30, 12, 26
_STYLE = """\
text { font: 11px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; fill: #1f2328 }
.grid { stroke: #d8dee4 }
.train { stroke: #0969da }
.eval { stroke: #bc4c00 }
text.train, text.eval { stroke: none }
text.train { fill: #0969da }
text.eval { fill: #bc4c00 }
path { fill: none; stroke-width: 1.75; stroke-linejoin: round; stroke-linecap: round }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 }
.title { fill: #f0f6fc }
.grid { stroke: #3d444d }
.train { stroke: #4493f8 }
.eval { stroke: #db6d28 }
text.train { fill: #4493f8 }
text.eval { fill: #db6d28 }
}"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure of the training, and of the `eval` input where it is measured there, too."""

    name: str
    train: Points
    eval: Points = ()


def panels_of(log: Iterable[Mapping[str, float]]) -> list[Panel]:
    """The measures in a training's log with two values or more: the loss first, what was only set last."""
    found: dict[str, list[tuple[int, float]]] = {}
    for entry in log:
        for name, value in entry.items():
            if "step" in entry and name not in _LEFT_OUT and isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(name, []).append((int(entry["step"]), float(value)))
    names = dict.fromkeys(name.removeprefix("eval_") for name in found)
    order = sorted(names, key=lambda name: (name != "loss", name != "reward", name in _LAST, name))
    panels = (Panel(name, found.get(name, ()), found.get(f"eval_{name}", ())) for name in order)
    return [panel for panel in panels if max(len(panel.train), len(panel.eval)) > 1]


def draw(log: Iterable[Mapping[str, float]]) -> str | None:
    """The picture, or None where the log is too short for a line."""
    panels = panels_of(log)
    if not panels:
        return None
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width, height = (n * (size + _GAP) + _GAP for n, size in ((columns, _WIDTH), (rows, _HEIGHT)))
    drawn = [
        line
        for number, panel in enumerate(panels)
        for line in _panel(
            panel,
            _GAP + number % columns * (_WIDTH + _GAP),
            _GAP + number // columns * (_HEIGHT + _GAP),
        )
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, f"<style>\n{_STYLE}\n</style>", *drawn, "</svg>", ""])


def _panel(panel: Panel, x: int, y: int) -> Iterable[str]:
    steps = [step for step, _ in (*panel.train, *panel.eval)]
    values = [value for _, value in (*panel.train, *panel.eval)]
    ticks = ticks_of(min(values), max(values))
    across = _Scale(min(steps), max(steps), _PLOT_LEFT, _WIDTH - _PLOT_RIGHT)
    up = _Scale(ticks[0], ticks[-1], _HEIGHT - _PLOT_BOTTOM, _PLOT_TOP)
    yield f'<g transform="translate({x} {y})">'
    yield f'<text class="title" x="{_PLOT_LEFT}" y="16">{escape(panel.name.replace("_", " "))}</text>'
    yield from _legend(panel)
    for tick in ticks:
        at = up(tick)
        yield f'<line class="grid" x1="{_PLOT_LEFT}" x2="{_WIDTH - _PLOT_RIGHT}" y1="{at}" y2="{at}"/>'
        yield f'<text text-anchor="end" x="{_PLOT_LEFT - 6}" y="{at + 4:g}">{tick:.6g}</text>'
    for step, anchor in ((min(steps), "start"), (max(steps), "end")):
        word = f"step {step:,}" if anchor == "start" else f"{step:,}"
        yield f'<text text-anchor="{anchor}" x="{across(step)}" y="{_HEIGHT - 8}">{word}</text>'
    for name, points in (("train", panel.train), ("eval", panel.eval)):
        if points:
            moves = " L".join(f"{across(step)} {up(value)}" for step, value in _thinned(points))
            yield f'<path class="{name}" d="M{moves}"/>'
    yield "</g>"


def _legend(panel: Panel) -> Iterable[str]:
    """Which line is which, where there are two."""
    if panel.train and panel.eval:
        right = _WIDTH - _PLOT_RIGHT
        yield f'<text class="train" text-anchor="end" x="{right - 34}" y="16">train</text>'
        yield f'<text class="eval" text-anchor="end" x="{right}" y="16">eval</text>'


_SAME = 1e-300
"""Numbers this near to each other have no power of ten between them that a float can tell from 0."""


def ticks_of(low: float, high: float) -> list[float]:
    """Two to six round numbers from below `low` to above `high`."""
    if high - low < _SAME:
        size = max(abs(low), abs(high))
        around = (1 if size < _SAME else size) / 2
        low, high = low - around, high + around
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 2.5, 5, 10) if times * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From a value to a place in the picture, to a tenth of a pixel."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high != self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def _thinned(points: Points, most: int = 600) -> Points:
    """No more points than the picture can show: of each stretch its lowest and its highest."""
    if len(points) <= most:
        return points
    size = -(-len(points) * 2 // most)
    stretches = (points[at : at + size] for at in range(0, len(points), size))
    chosen = [sorted({min(part, key=_value), max(part, key=_value)}) for part in stretches]
    return [points[0], *(point for part in chosen for point in part), points[-1]]


def _value(point: tuple[int, float]) -> float:
    return point[1]
