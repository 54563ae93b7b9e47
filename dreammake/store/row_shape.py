"""The one schema of rows whose batches differ: it widens while they are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from dreammake.core import arrow_types, features
from dreammake.core.diagnostic import fail
from dreammake.store.tidy import tidy

if TYPE_CHECKING:
    import pyarrow as pa


class RowShape:
    """The schema of what was seen so far; it only grows wider. `version` counts its changes."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.fields: dict[str, pa.Field] = {}
        self.version = 0
        self._seen: pa.Schema | None = None

    def widen(self, schema: pa.Schema) -> None:
        if self._seen is not None and schema.equals(self._seen, check_metadata=True):
            return
        self._seen = schema
        for field in features.for_stream(schema):
            if field.name in self.columns:
                self._widen_field(field.with_type(arrow_types.plain(field.type)).with_nullable(True))

    def _widen_field(self, field: pa.Field) -> None:
        have = self.fields.get(field.name)
        if have is None:
            self.fields[field.name] = field
            self.version += 1
            return
        kind = arrow_types.widest(have.type, field.type)
        if kind is None:
            _clash(field.name, have.type, field.type)
        if not kind.equals(have.type):
            self.fields[field.name] = field if field.type.equals(kind) else field.with_type(kind).remove_metadata()
            self.version += 1

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([self.fields.get(column) or pa.field(column, pa.null()) for column in self.columns])

    def final(self) -> pa.Schema:
        """The schema once all was seen; a column of which nothing is known holds text, so that it can be joined."""
        import pyarrow as pa

        unknown = [column for column in self.columns if column not in self.fields]
        schema = self.schema()
        for column in unknown:
            schema = schema.set(schema.get_field_index(column), pa.field(column, pa.string()))
        return schema

    def batch(self, pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
        """One batch of the schema of now."""
        import pyarrow as pa

        schema = self.schema()
        same = [fitted(piece, schema) for piece in pieces]
        whole = same[0] if len(same) == 1 else pa.concat_batches(same)
        return pa.record_batch([tidy(column) for column in whole.columns], schema=schema)


def fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the schema's columns and types; a column that it lacks is null."""
    import pyarrow as pa

    arrays = []
    for field in schema:
        at = batch.schema.get_field_index(field.name)
        array = pa.nulls(batch.num_rows) if at < 0 else batch.column(at)
        try:
            arrays.append(arrow_types.fit(array, field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            _clash(field.name, array.type, field.type)
    return pa.record_batch(arrays, schema=schema)


def _clash(column: str, one: pa.DataType, other: pa.DataType) -> NoReturn:
    kinds = " and ".join(sorted((f"{arrow_types.words(one)} ({one})", f"{arrow_types.words(other)} ({other})")))
    fail(
        "mixed-types",
        f"the column `{column}` mixes {kinds}",
        hint=f"make them one type, with a `map {column}: str({column})` say",
        exit_code=1,
    )
