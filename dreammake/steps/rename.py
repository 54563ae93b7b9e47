from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.options import Dict, OptionSet, Wrong, describe
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._columns import check_known

if TYPE_CHECKING:
    import pyarrow as pa


class Rename(Step):
    """Gives columns other names: `rename: {"old": "new"}`, or a block of `old: "new"`. Two may swap theirs."""

    value = "names"
    block = "names"
    paper = "rename_column, rename_columns"
    example = """
rule all:
    output: "data/pairs"
    rows: [{"q": "Why?", "a": "Because."}]
    rename:
        q: "question"
        a: "answer"
"""

    class Options(OptionSet):
        names = Dict("The new name of each old one.")

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        for old, new in options.names.items():
            check_known(old, have)
            if not isinstance(new, str):
                raise Wrong(f"the new name of `{old}` is a text, not {describe(new)}")
        if have is None:
            return None
        renamed = tuple(options.names.get(column, column) for column in have)
        twice = next((column for column in renamed if renamed.count(column) > 1), None)
        if twice is not None:
            raise Wrong(f"two columns would be called `{twice}`", "drop one of them first", "duplicate-column")
        return renamed

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        def change(batch: pa.RecordBatch) -> pa.RecordBatch:
            import pyarrow as pa

            fields = [field.with_name(options.names.get(field.name, field.name)) for field in batch.schema]
            return pa.record_batch(batch.columns, schema=pa.schema(fields))

        return rows.then([options.names.get(column, column) for column in rows.columns], change, same_count=True)
