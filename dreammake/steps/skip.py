from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Int, OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Step, Work

if TYPE_CHECKING:
    import pyarrow as pa


class Skip(Step):
    """Leaves out the first rows."""

    value = "count"
    paper = "skip"
    example = """
rule all:
    output: "data/rest"
    rows: [{"n": 1}, {"n": 2}, {"n": 3}]
    skip: 1
"""

    class Options(OptionSet):
        count = Int("How many.", unit="rows", at_least=0)

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return None if count is None else max(0, count - int(options.count))

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        count = None if rows.count is None else max(0, rows.count - options.count)
        return Rows(rows.columns, lambda: _rest(rows, options.count), count)


def _rest(rows: Rows, left: int) -> Iterator[pa.RecordBatch]:
    for batch in rows.batches():
        if left < batch.num_rows:
            yield batch.slice(left)
        left = max(0, left - batch.num_rows)
