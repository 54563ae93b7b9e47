"""Arrow types of columns: the plain form that a dataset holds, and the one that holds two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def plain(kind: pa.DataType) -> pa.DataType:
    """The type in which a dataset on disk holds such values: no dictionaries, maps, views or run lengths."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if types.is_map(kind):
        return pa.list_(pa.struct([("key", plain(kind.key_type)), ("value", plain(kind.item_type))]))
    if types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind):
        return pa.binary()
    if types.is_struct(kind):
        return pa.struct([pa.field(field.name, plain(field.type)) for field in kind])
    if types.is_fixed_size_list(kind):
        return pa.list_(plain(kind.value_type), kind.list_size)
    if types.is_large_list(kind) or types.is_large_list_view(kind):
        return pa.large_list(plain(kind.value_type))
    if types.is_list(kind) or types.is_list_view(kind):
        return pa.list_(plain(kind.value_type))
    return kind


def widest(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """The plain type that holds the values of both plain types, or None: whole numbers become floats, a struct
    gains fields (in the order in which they appear), and null becomes anything; text and numbers do not mix."""
    import pyarrow as pa

    types = pa.types
    if a.equals(b) or types.is_null(b):
        return a
    if types.is_null(a):
        return b
    if types.is_struct(a) and types.is_struct(b):
        return _widest_struct(a, b)
    if is_list(a) and is_list(b):
        value = widest(a.value_type, b.value_type)
        large = types.is_large_list(a) or types.is_large_list(b)
        return None if value is None else pa.large_list(value) if large else pa.list_(value)
    if types.is_integer(a) and types.is_integer(b) and types.is_uint64(a) != types.is_uint64(b):
        return pa.float64()
    if _is_text(a) != _is_text(b):
        return None
    try:
        schemas = [pa.schema([("", kind)]) for kind in (a, b)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return None


def fit(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array as a type that is at least as wide. Raises ArrowInvalid, ArrowTypeError or
    ArrowNotImplementedError where a value does not fit."""
    import pyarrow as pa

    if array.type.equals(kind):
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    try:
        return array.cast(kind, safe=not pa.types.is_floating(kind))
    except pa.ArrowNotImplementedError:
        return pa.array(array.to_pylist(), kind)


def words(kind: pa.DataType) -> str:
    """A type in the words of a message."""
    import pyarrow as pa

    types = pa.types
    for test, word in (
        (types.is_null, "nothing"),
        (types.is_boolean, "True or False"),
        (types.is_integer, "whole numbers"),
        (types.is_floating, "numbers"),
        (_is_text, "text"),
        (types.is_struct, "dicts"),
        (is_list, "lists"),
        (types.is_temporal, "times"),
    ):
        if test(kind):
            return word
    return str(kind)


def _widest_struct(a: pa.StructType, b: pa.StructType) -> pa.DataType | None:
    import pyarrow as pa

    kinds = {field.name: field.type for field in a}
    for field in b:
        both = widest(kinds[field.name], field.type) if field.name in kinds else field.type
        if both is None:
            return None
        kinds[field.name] = both
    return pa.struct(list(kinds.items()))


def is_list(kind: pa.DataType) -> bool:
    """A list of any of Arrow's kinds."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
