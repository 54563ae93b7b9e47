from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Int, Option, OptionSet, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Step, Work
from dreammake.steps._chance import choice
from dreammake.steps._order import on_disk

if TYPE_CHECKING:
    import pyarrow as pa


class Size(Option[Any]):
    takes = "a whole number of rows, or a fraction between 0 and 1"

    def read(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(value)
        if value < 0 or (isinstance(value, float) and not value <= 1):
            raise Wrong(f"`{self.name}` is {self.takes}, not {value:g}", code="out-of-range")
        return value


class Sample(Step):
    """Keeps some rows by chance: so many, or a fraction of them. They keep their order, and none comes twice.

    The choice depends on the seed and the number of rows alone. All rows are kept where there are fewer than asked.
    """

    value = "size"
    paper = "select, by chance"
    example = """
rule all:
    output: "data/some"
    rows: [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    sample: 0.5
        seed: 7
"""

    class Options(OptionSet):
        size = Size("How many rows, or which fraction of them: `100`, `0.1`.")
        seed = Int("Seed of the choice.", default=0)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        known = rows if rows.count is not None else on_disk(rows, work)
        total = known.count or 0
        size = round(total * options.size) if isinstance(options.size, float) else min(total, options.size)
        return Rows(rows.columns, lambda: _chosen(known, choice(total, size, options.seed)), size)


def _chosen(rows: Rows, numbers: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The rows with these ascending numbers."""
    import pyarrow as pa

    at = begin = 0
    for batch in rows.batches():
        inside = []
        while at < len(numbers) and numbers[at] < begin + batch.num_rows:
            inside.append(numbers[at] - begin)
            at += 1
        if inside:
            yield batch.take(pa.array(inside, pa.int64()))
        begin += batch.num_rows
        if at == len(numbers):
            return
