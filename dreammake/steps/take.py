from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Int, OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Step, Work

if TYPE_CHECKING:
    import pyarrow as pa


class Take(Step):
    """Keeps the first rows; what comes after them is neither read nor asked for."""

    value = "count"
    paper = "take"
    example = """
rule all:
    output: "data/first"
    rows: [{"n": 1}, {"n": 2}, {"n": 3}]
    take: 2
"""

    class Options(OptionSet):
        count = Int("How many.", unit="rows", at_least=0)

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return int(options.count) if count is None else min(count, int(options.count))

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        count = None if rows.count is None else min(rows.count, options.count)
        return Rows(rows.columns, lambda: _first(rows, options.count), count)


def _first(rows: Rows, left: int) -> Iterator[pa.RecordBatch]:
    if left == 0:
        return
    for batch in rows.batches():
        yield batch.slice(0, left)
        left -= batch.num_rows
        if left <= 0:
            return
