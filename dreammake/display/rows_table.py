"""Rows of a dataset for a reader: a table where it fits, else one record a block."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dreammake.core.values import in_words
from dreammake.display.amounts import count, size
from dreammake.display.cells import cells, cut, pad, visible, wrap
from dreammake.display.style import Style

_NARROWEST = 12
_TALLEST = 8
"""Lines of the tallest cell that a table shows; taller ones are easier to read as records."""
_GAP = "  "
_LONGEST_VECTOR = 16
"""Numbers of a list that is shown whole."""


def draw_rows(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    width: int,
    colour: bool = False,
    first: int = 0,
    total: int | None = None,
    form: Literal["auto", "table", "records"] = "auto",
) -> str:
    """The rows as text of at most `width` cells a line; `first` is the number of the first row, and `total` how
    many rows the dataset has, said below when they are more."""
    style = Style(colour)
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = _widths(columns, texts, width)
    fits = widths is not None and not any(
        len(wrap(text, room)) > _TALLEST for line in texts for text, room in zip(line, widths, strict=True)
    )
    if form == "records" or widths is None or (form == "auto" and not fits):
        drawn = _records(columns, texts, width, style, first)
    else:
        numbers = [_is_number(row.get(column) for row in rows) for column in columns]
        drawn = _table(columns, texts, widths, numbers, style)
    if total is not None and total > len(rows):
        drawn.append(style.paint(f"{len(rows):,} of {count(total, 'row')}", "dim"))
    return "\n".join(line.rstrip() for line in drawn)


def _text(value: Any) -> str:
    match value:
        case None:
            return "null"
        case str():
            return visible(value)
        case bytes():
            return f"<{size(len(value))}>"
        case float():
            return f"{value:.6g}"
        case [float(), float(), float(), *more] if len(more) > _LONGEST_VECTOR and isinstance(more[-1], float):
            return f"[{value[0]:.4g}, {value[1]:.4g}, {value[2]:.4g}, … {len(value):,} numbers]"
        case list() | tuple() | dict():
            return visible(json.dumps(value, ensure_ascii=False, default=in_words))
    return visible(str(value))


def _is_number(values: Any) -> bool:
    found = [value for value in values if value is not None]
    return bool(found) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)


def _widths(columns: Sequence[str], texts: list[list[str]], width: int) -> list[int] | None:
    """Cells for each column: what it needs where all fit, else the wide ones share what is left by how much
    text they hold. None where the columns are too many for a table."""
    wanted, held = [], []
    for at, name in enumerate(columns):
        lengths = [cells(line) for row in texts for line in row[at].split("\n")]
        wanted.append(max([cells(visible(name)), *lengths]))
        held.append(1 + sum(lengths))
    given = [min(want, max(_NARROWEST, cells(visible(name)))) for want, name in zip(wanted, columns, strict=True)]
    room = width - len(_GAP) * (len(columns) - 1) - sum(given)
    if not columns or room < 0:
        return None
    open_columns = [at for at, want in enumerate(wanted) if given[at] < want]
    while open_columns and room > 0:
        text = sum(held[at] for at in open_columns)
        shares = {at: min(wanted[at] - given[at], room * held[at] // text) for at in open_columns}
        if not any(shares.values()):
            shares = {max(open_columns, key=held.__getitem__): 1}
        for at, share in shares.items():
            given[at] += share
        room -= sum(shares.values())
        open_columns = [at for at in open_columns if given[at] < wanted[at]]
    return given


def _table(
    columns: Sequence[str], texts: list[list[str]], widths: list[int], numbers: list[bool], style: Style
) -> list[str]:
    names = [
        pad(cut(visible(name), room), room, right=right)
        for name, room, right in zip(columns, widths, numbers, strict=True)
    ]
    lines = [
        style.paint(_GAP.join(names).rstrip(), "bold"),
        style.paint(_GAP.join("-" * room for room in widths), "dim"),
    ]
    tall = False
    for row in texts:
        wrapped = [_shorten(wrap(text, room), room) for text, room in zip(row, widths, strict=True)]
        height = max(len(part) for part in wrapped)
        lines += [""] if (height > 1 or tall) and len(lines) > 2 else []
        tall = height > 1
        for at in range(height):
            parts = [part[at] if at < len(part) else "" for part in wrapped]
            lines.append(_GAP.join(pad(p, w, right=r) for p, w, r in zip(parts, widths, numbers, strict=True)))
    return lines


def _shorten(lines: list[str], width: int) -> list[str]:
    return lines if len(lines) <= _TALLEST else [*lines[: _TALLEST - 1], cut(lines[_TALLEST - 1] + " …", width)]


def _records(columns: Sequence[str], texts: list[list[str]], width: int, style: Style, first: int) -> list[str]:
    """A block a row: short values behind their column's name, long ones indented below it."""
    name = min(max((cells(visible(column)) for column in columns), default=0), max(8, width // 3))
    lines: list[str] = []
    for number, row in enumerate(texts, first):
        lines += [""] if lines else []
        lines.append(style.paint(f"row {number:,}", "dim"))
        for column, text in zip(columns, row, strict=True):
            heading = style.paint(pad(cut(visible(column), name), name), "bold")
            body = wrap(text, width - name - len(_GAP))
            lines.append(f"{heading}{_GAP}{body[0]}")
            lines += [" " * name + _GAP + line for line in body[1:]]
    return lines
