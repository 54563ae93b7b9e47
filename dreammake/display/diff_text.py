"""How a dataset differs from the build before, for a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from dreammake.core.row_changes import BY_NUMBER, ChangedRow, ColumnChange, Row, RowChanges
from dreammake.core.values import in_words
from dreammake.display.amounts import count
from dreammake.display.cells import cut, one_line, visible
from dreammake.display.plan_json import reason_json
from dreammake.display.reasons import details, headline
from dreammake.display.style import Style
from dreammake.plan.stale import Reason

LONGEST = 400
"""Characters of a value that are shown."""


def draw_diff(target: str, found: RowChanges, reasons: Sequence[Reason], style: Style, width: int) -> str:
    """The counts, what the builds were made from, the columns with their means, then rows."""
    lines = [style.paint(visible(target), "bold") + f": {_summary(found)}"]
    for reason in reasons:
        lines.append(f"  {one_line(headline(reason))}")
        lines += [_painted(f"    {sign} {one_line(text)}", sign, style) for sign, text in details(reason)[:20]]
    for sign, names in (("+", found.columns_added), ("-", found.columns_dropped)):
        lines += [_painted(f"  {sign} column {visible(name)}", sign, style) for name in names]
    lines += [f"  {_column(column)}" for column in found.columns]
    if found.changed and found.matched_by:
        by = "their row number" if found.matched_by == BY_NUMBER else ", ".join(map(visible, found.matched_by))
        lines.append(style.paint(f"  rows that changed are told by {by}", "dim"))
    for row in found.changed:
        lines += _changed(row, style, width)
    lines += _more(found.changed_count, len(found.changed), "changed")
    for sign, rows, total, word in (
        ("-", found.dropped, found.dropped_count, "dropped"),
        ("+", found.added, found.added_count, "added"),
    ):
        lines += [_painted(cut(f"{sign} row {number:,}  {_row(row)}", width), sign, style) for number, row in rows]
        lines += _more(total, len(rows), word)
    return "\n".join(lines)


def _summary(found: RowChanges) -> str:
    if not found.any:
        return f"the same {count(found.rows_now, 'row')}"
    parts = ((found.added_count, "added"), (found.dropped_count, "dropped"), (found.changed_count, "changed"))
    told = [f"{number:,} {word}" for number, word in parts if number]
    told += ["the order of rows changed"] if found.reordered else []
    same = f"{count(found.unchanged, 'row')} the same" if found.unchanged else ""
    whole = f"{found.rows_before:,} -> {found.rows_now:,} rows" if found.rows_before != found.rows_now else ""
    return ", ".join(part for part in (whole, *told, same) if part)


def _column(column: ColumnChange) -> str:
    """`score: 12 rows changed, mean 0.62 -> 0.71 (+0.09)`."""
    told = [f"{count(column.rows, 'row')} changed"] if column.rows else []
    if column.before is not None and column.now is not None and column.before != column.now:
        told.append(f"mean {column.before:.6g} -> {column.now:.6g} ({column.now - column.before:+.3g})")
    return f"{visible(column.name)}: {', '.join(told)}"


def _changed(row: ChangedRow, style: Style, width: int) -> Iterator[str]:
    key = f"  {_row(row.key)}" if row.key else ""
    place = f"row {row.now:,}" if row.before == row.now else f"row {row.now:,}, was {row.before:,}"
    yield style.paint(cut(f"~ {place}{key}", width), "yellow")
    for name, (old, new) in row.cells.items():
        if _is_number(old) and _is_number(new):
            yield f"    {visible(name)}: {_text(old)} -> {_text(new)} ({new - old:+.3g})"
            continue
        yield f"    {visible(name)}"
        yield _painted(cut(f"    - {_text(old)}", width), "-", style)
        yield _painted(cut(f"    + {_text(new)}", width), "+", style)


def _more(total: int, shown: int, word: str) -> list[str]:
    return [f"  … and {total - shown:,} more {word}"] if total > shown else []


def _painted(line: str, sign: str, style: Style) -> str:
    return style.paint(line, "red" if sign == "-" else "green")


def _row(row: Row) -> str:
    return "  ".join(f"{visible(name)}: {_text(value)}" for name, value in row.items())


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=in_words)
    return one_line(text[:LONGEST])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def diff_document(target: str, found: RowChanges, reasons: Sequence[Reason]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "target": target,
        "rows": {"before": found.rows_before, "now": found.rows_now, "unchanged": found.unchanged},
        "added": found.added_count,
        "dropped": found.dropped_count,
        "changed": found.changed_count,
        "reordered": found.reordered,
        "matched_by": list(found.matched_by),
        "reasons": [reason_json(reason) for reason in reasons],
        "columns_added": list(found.columns_added),
        "columns_dropped": list(found.columns_dropped),
        "columns": [
            {"name": column.name, "rows": column.rows, "before": column.before, "now": column.now}
            for column in found.columns
        ],
        "added_rows": [{"row": number, "values": row} for number, row in found.added],
        "dropped_rows": [{"row": number, "values": row} for number, row in found.dropped],
        "changed_rows": [
            {
                "row": row.now,
                "row_before": row.before,
                "key": row.key,
                "cells": {name: {"old": old, "new": new} for name, (old, new) in row.cells.items()},
            }
            for row in found.changed
        ],
    }
