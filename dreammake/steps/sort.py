from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Bool, Expression, OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Spooled, Step, Work
from dreammake.steps._order import in_order, on_disk, order_by

if TYPE_CHECKING:
    import pyarrow as pa


class Sort(Step):
    """Sorts the rows by a column or an expression: `sort: score`, `sort: [language, -len(text)]`.

    Equal rows keep their order. Nulls, and numbers that are none (NaN), come last in either direction. The keys are
    held in memory, the rows are not.
    """

    value = "by"
    paper = "sort"
    example = """
rule all:
    output: "data/ranked"
    rows: [{"name": "a", "score": 2}, {"name": "b", "score": 5}, {"name": "c", "score": 2}]
    sort: score
        reverse: True
"""

    class Options(OptionSet):
        by = Expression("What to sort by.")
        reverse = Bool("Largest first.", default=False)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        spooled = on_disk(rows, work)
        return Rows(rows.columns, lambda: _sorted(options, spooled), spooled.count)


def _sorted(options: Any, spooled: Spooled) -> Iterator[pa.RecordBatch]:
    return in_order(spooled, order_by(options.by, spooled, reverse=options.reverse)).batches()
