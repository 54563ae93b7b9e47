from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Spooled, Step, Work
from dreammake.steps._order import on_disk

if TYPE_CHECKING:
    import pyarrow as pa


class Reverse(Step):
    """Puts the last row first."""

    paper = "reverse"
    example = """
rule all:
    output: "data/latest-first"
    rows: [{"day": 1}, {"day": 2}, {"day": 3}]
    reverse:
"""

    class Options(OptionSet):
        pass

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        spooled = on_disk(rows, work)
        return Rows(rows.columns, lambda: _backwards(spooled), spooled.count)


def _backwards(spooled: Spooled) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in reversed(spooled.table.to_batches()):
        yield batch.take(pa.array(range(batch.num_rows - 1, -1, -1), pa.int64()))
