"""The value of an expression for each row of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.values import RowExpression

if TYPE_CHECKING:
    import pyarrow as pa


class RowValues:
    """An expression over a stream of batches: only the columns that it reads become Python values."""

    def __init__(self, expression: RowExpression, columns: Sequence[str]) -> None:
        from dreammake.lang.row import compile_row

        self._function = compile_row(expression, columns)
        self._before = 0

    def of(self, batch: pa.RecordBatch) -> list[Any]:
        """One value a row; batches are given in their order. Raises DreamError `row-error`."""
        from dreammake.lang.row import RowError

        lists = [batch.column(column).to_pylist() for column in self._function.columns]
        try:
            values = self._function.map(lists, batch.num_rows)
        except RowError as error:
            raise error.later(self._before) from None
        self._before += batch.num_rows
        return values
