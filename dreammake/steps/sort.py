from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.options import Bool, Expression, OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Spooled, Step, Work
from dreammake.steps._order import in_order, on_disk
from dreammake.steps._row_values import RowValues

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


def _sorted(options: Any, spooled: Spooled) -> Any:
    column = options.by.text.strip()
    if column in spooled.columns and _is_plain(spooled.table.schema.field(column).type):
        return in_order(spooled, _order_of_column(spooled.table.column(column), options.reverse)).batches()
    values = RowValues(options.by, spooled.columns)
    keys = [key for batch in spooled.batches() for key in values.of(batch)]
    return in_order(spooled, _order_of_keys(keys, options.reverse, options.by.text)).batches()


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_string(kind))


def _order_of_column(values: pa.ChunkedArray, reverse: bool) -> Sequence[int]:
    """Arrow's sort is stable and compares text by code point, as Python does."""
    import pyarrow.compute as pc

    direction = "descending" if reverse else "ascending"
    order = pc.sort_indices(values, sort_keys=[("", direction)])
    return memoryview(order.buffers()[1]).cast("Q") if len(order) else ()


def _order_of_keys(keys: list[Any], reverse: bool, text: str) -> list[int]:
    present = [number for number, key in enumerate(keys) if key is not None and key == key]
    absent = [number for number, key in enumerate(keys) if key is None or key != key]
    try:
        present.sort(key=keys.__getitem__, reverse=reverse)
    except TypeError:
        kinds = sorted({type(keys[number]).__name__ for number in present})
        fail(
            "mixed-types",
            f"`{text}` cannot be sorted: its values are of the types {', '.join(kinds)}, or hold nulls inside",
            hint="sort by something of one type, `str(...)` of it say",
            exit_code=1,
        )
    return present + absent
