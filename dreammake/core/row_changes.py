"""How two versions of a dataset differ, by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A column that both versions have: in how many rows it changed. `before` and `now` are its means over all rows,
    where it holds numbers."""

    name: str
    rows: int
    before: float | None = None
    now: float | None = None


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row of both versions: its number in each, and the columns that differ with their old and new values. `key` are
    the values that both have."""

    before: int
    now: int
    key: Row
    cells: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class RowChanges:
    """Counts are of all rows; `added`, `dropped` and `changed` hold the first ones, with their numbers.

    Rows are compared by the columns that both versions have. `matched_by` are the columns by which rows that differ
    were found to be the same row: BY_NUMBER where no column tells, none where no row was. `reordered`: rows that did
    not change come in another order.
    """

    rows_before: int
    rows_now: int
    unchanged: int
    added_count: int
    dropped_count: int
    changed_count: int
    reordered: bool
    matched_by: tuple[str, ...]
    columns_added: tuple[str, ...]
    columns_dropped: tuple[str, ...]
    columns: tuple[ColumnChange, ...]
    added: Sequence[tuple[int, Row]]
    dropped: Sequence[tuple[int, Row]]
    changed: Sequence[ChangedRow]

    @property
    def any(self) -> bool:
        counts = (self.added_count, self.dropped_count, self.changed_count)
        return any(counts) or self.reordered or bool(self.columns_added or self.columns_dropped)


BY_NUMBER = ("row number",)
