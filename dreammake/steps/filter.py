from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.options import Expression, OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Step, Work
from dreammake.steps._row_values import RowValues

if TYPE_CHECKING:
    import pyarrow as pa


class Filter(Step):
    """Keeps the rows for which an expression over the columns is true: `filter: len(text) <= 280`."""

    value = "expression"
    paper = "filter"
    example = """
rule all:
    output: "data/short"
    rows: [{"text": "brief"}, {"text": "this one is rather long"}]
    filter: len(text) <= 10
"""

    class Options(OptionSet):
        expression = Expression("What is true of the rows to keep.")

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        values = RowValues(options.expression, rows.columns)

        def change(batch: pa.RecordBatch) -> pa.RecordBatch:
            import pyarrow as pa

            return batch.filter(pa.array([bool(value) for value in values.of(batch)], pa.bool_()))

        return rows.then(rows.columns, change)
