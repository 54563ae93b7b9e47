from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Bool, Int, OptionSet, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._order import on_disk

if TYPE_CHECKING:
    import pyarrow as pa


class Shard(Step):
    """Keeps one of several equal parts: `shard: 0` with `of: 4` is the first quarter.

    The parts differ by one row at most, the first ones being larger, and together they are the whole. With
    `contiguous: False` the part takes every so-many-th row.
    """

    value = "index"
    paper = "shard"
    example = """
rule all:
    input: expand("data/part{i}", i=range(2))

rule numbers:
    output: "data/numbers"
    rows: [{"n": 1}, {"n": 2}, {"n": 3}]

rule part:
    input: "data/numbers"
    output: "data/part{i:int}"
    shard: i
        of: 2
"""

    class Options(OptionSet):
        index = Int("Which part, from 0.", at_least=0)
        of = Int("How many parts there are.", unit="parts", at_least=1)
        contiguous = Bool("Whether a part is rows that stand together.", default=True)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        if options.index >= options.of:
            last = options.of - 1
            raise Wrong(
                f"there is no part {options.index} of {options.of}", f"parts are 0 to {last}", code="out-of-range"
            )
        return have

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return None if count is None else -(-count // int(options.of))

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        known = rows if rows.count is not None else on_disk(rows, work)
        total = known.count or 0
        each, more = divmod(total, options.of)
        count = each + (options.index < more)
        if not options.contiguous:
            return Rows(rows.columns, lambda: _every(known, options.index, options.of), count)
        begin = each * options.index + min(options.index, more)
        return Rows(rows.columns, lambda: _between(known, begin, begin + count), count)


def _between(rows: Rows, begin: int, end: int) -> Iterator[pa.RecordBatch]:
    at = 0
    for batch in rows.batches():
        first, last = max(begin - at, 0), min(end - at, batch.num_rows)
        if first < last:
            yield batch.slice(first, last - first)
        at += batch.num_rows
        if at >= end:
            return


def _every(rows: Rows, index: int, of: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    at = 0
    for batch in rows.batches():
        yield batch.take(pa.array(range((index - at) % of, batch.num_rows, of), pa.int64()))
        at += batch.num_rows
