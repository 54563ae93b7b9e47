from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.arrow_types import words
from dreammake.core.diagnostic import fail
from dreammake.core.options import Bool, ColumnNames, OptionSet, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._columns import check_known

if TYPE_CHECKING:
    import pyarrow as pa


class Explode(Step):
    """Makes a row of each item of a column of lists; the other columns are repeated.

    A row whose list is empty or null is dropped; with `keep_empty: True` it stays, with null in the column.
    """

    value = "column"
    paper = "unnest"
    example = """
rule all:
    output: "data/tags"
    rows: [{"id": 1, "tag": ["a", "b"]}, {"id": 2, "tag": []}]
    explode: "tag"
"""

    class Options(OptionSet):
        column = ColumnNames("The column of lists.")
        keep_empty = Bool("Whether a row without items stays, with null.", default=False)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        if len(options.column) != 1:
            raise Wrong("`explode` takes one column", "explode one after the other")
        check_known(options.column[0], have)
        return have

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return None

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        column = options.column[0]
        return rows.then(rows.columns, lambda batch: _exploded(batch, column, options.keep_empty))


def _exploded(batch: pa.RecordBatch, column: str, keep_empty: bool) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.compute as pc

    at = batch.schema.get_field_index(column)
    lists = batch.column(at)
    types = pa.types
    if types.is_null(lists.type):
        return batch if keep_empty else batch.slice(0, 0)
    if types.is_fixed_size_list(lists.type):
        lists = lists.cast(pa.list_(lists.type.value_type))
    if not (types.is_list(lists.type) or types.is_large_list(lists.type)):
        fail("not-a-list", f"the column `{column}` holds {words(lists.type)}, not lists", exit_code=1)
    owners, items = pc.list_parent_indices(lists), pc.list_flatten(lists)
    if keep_empty:
        lengths = pc.fill_null(pc.list_value_length(lists), 0)
        empty = pc.indices_nonzero(pc.equal(lengths, 0)).cast(owners.type)
        owners = pa.concat_arrays([owners, empty])
        items = pa.concat_arrays([items, pa.nulls(len(empty), items.type)])
        order = pc.array_sort_indices(owners)
        owners, items = owners.take(order), items.take(order)
    return batch.take(owners).set_column(at, column, items)
