from __future__ import annotations

from typing import Any

from dreammake.core.options import ColumnNames, OptionSet, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._columns import check_known, with_columns


class Drop(Step):
    """Leaves out the named columns."""

    value = "columns"
    paper = "remove_columns"
    example = """
rule all:
    output: "data/questions"
    rows: [{"id": 1, "question": "Why?", "source": "a"}]
    drop: "source"
"""

    class Options(OptionSet):
        columns = ColumnNames("The columns to leave out.")

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        for column in options.columns:
            check_known(column, have)
        if have is None:
            return None
        left = tuple(column for column in have if column not in options.columns)
        if not left:
            raise Wrong("no column would be left", "keep one at least", "no-columns")
        return left

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        left = tuple(column for column in rows.columns if column not in options.columns)
        return rows.then(left, lambda batch: with_columns(batch, left), same_count=True)
