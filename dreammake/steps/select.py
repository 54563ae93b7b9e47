from __future__ import annotations

from typing import Any

from dreammake.core.options import ColumnNames, OptionSet, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._columns import check_known, with_columns


class Select(Step):
    """Keeps the named columns, in the order named."""

    value = "columns"
    paper = "select_columns"
    example = """
rule all:
    output: "data/questions"
    rows: [{"id": 1, "question": "Why?", "source": "a"}]
    select: ["question", "id"]
"""

    class Options(OptionSet):
        columns = ColumnNames("The columns to keep.")

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        for column in options.columns:
            check_known(column, have)
            if options.columns.count(column) > 1:
                raise Wrong(f"`{column}` is selected twice", "name it once", "duplicate-column")
        return tuple(options.columns)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        return rows.then(options.columns, lambda batch: with_columns(batch, options.columns), same_count=True)
