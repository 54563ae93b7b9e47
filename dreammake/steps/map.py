from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.options import Expression, OptionSet
from dreammake.core.rows import Rows, add_column, with_column
from dreammake.core.step import Step, Work
from dreammake.steps._row_values import RowValues

if TYPE_CHECKING:
    import pyarrow as pa


class Map(Step):
    """Writes a column from an expression over the others: `map length: len(text)`.

    A column of that name is replaced where it stands; a new one comes last.
    """

    named = "column"
    value = "expression"
    paper = "map"
    example = """
rule all:
    output: "data/words"
    rows: [{"text": "make for models"}, {"text": "rows in, rows out"}]
    map words: text.split()
    map count: len(words)
"""

    class Options(OptionSet):
        expression = Expression("The value of the column, over the columns of the row.")

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        values = RowValues(options.expression, rows.columns)

        def change(batch: pa.RecordBatch) -> pa.RecordBatch:
            return with_column(batch, name, values.of(batch))

        return rows.then(add_column(rows.columns, name), change, same_count=True)
