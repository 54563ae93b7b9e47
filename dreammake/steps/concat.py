from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Datasets, OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._columns import united, with_columns

if TYPE_CHECKING:
    import pyarrow as pa


class Concat(Step):
    """Puts the rows of other inputs after the rows so far. The columns are united: what a dataset lacks is null."""

    value = "inputs"
    paper = "concat, concatenate"
    example = """
rule a:
    output: "data/a"
    rows: [{"n": 1}]

rule b:
    output: "data/b"
    rows: [{"n": 2, "note": "new"}]

rule all:
    input:
        a: "data/a"
        b: "data/b"
    output: "data/both"
    concat: input.b
"""

    class Options(OptionSet):
        inputs = Datasets("The datasets to put after the rows: `input.b`, or a list.")

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        known = [have, *(look.columns(path) for path in options.inputs)]
        return None if None in known else united(columns for columns in known if columns is not None)

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return None

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        parts = [rows, *(work.open(path) for path in options.inputs)]
        columns = united(part.columns for part in parts)
        counts = [part.count for part in parts if part.count is not None]

        def batches() -> Iterator[pa.RecordBatch]:
            for part in parts:
                for batch in part.batches():
                    yield with_columns(batch, columns)

        return Rows(columns, batches, sum(counts) if len(counts) == len(parts) else None)
