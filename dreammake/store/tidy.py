"""Clears what an Arrow array holds in places that nothing reads, so that equal values are equal bytes.

Behind a null may stand any number or text, a list may point past values that no row has, and a slice shares the memory
of its neighbours, of which Arrow's writer copies up to 63 bytes to fill its last line.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def tidy(array: pa.Array) -> pa.Array:
    """An equal array with nothing in its unused places. Arrays are of plain types (`core.arrow_types.plain`)."""
    import pyarrow as pa

    types = pa.types
    if types.is_struct(array.type):
        return _tidy_struct(array)
    if types.is_list(array.type) or types.is_large_list(array.type):
        return _tidy_list(array)
    if types.is_fixed_size_list(array.type):
        return _tidy_fixed_list(array)
    if types.is_null(array.type) or isinstance(array.type, pa.BaseExtensionType):
        return array
    if array.null_count or types.is_boolean(array.type):
        array = array.take(_all(len(array)))
    return _exact(array)


def _exact(array: pa.Array) -> pa.Array:
    """The same memory, ending where the values end."""
    import pyarrow as pa

    kind, first, count = array.type, array.offset, len(array)
    valid, *buffers = array.buffers()
    if len(buffers) == 2 and buffers[0] is not None and buffers[1] is not None:
        large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
        offsets = memoryview(buffers[0]).cast("q") if large else memoryview(buffers[0]).cast("i")
        end = offsets[first + count] if count else 0
        return pa.Array.from_buffers(kind, count, [valid, buffers[0], buffers[1].slice(0, end)], -1, first)
    if len(buffers) == 1 and buffers[0] is not None and valid is None and not pa.types.is_boolean(kind):
        width = kind.bit_width // 8
        return pa.Array.from_buffers(kind, count, [None, buffers[0].slice(first * width, count * width)], 0)
    return array


def _tidy_struct(array: pa.StructArray) -> pa.Array:
    import pyarrow as pa

    if array.type.num_fields == 0:
        return array
    children = [tidy(child) for child in array.flatten()]
    return pa.StructArray.from_arrays(
        children, fields=list(array.type), mask=array.is_null() if array.null_count else None
    )


def _tidy_list(array: pa.ListArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.LargeListArray if pa.types.is_large_list(array.type) else pa.ListArray
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    zero = pa.array([0], lengths.type)
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([zero, ends])
    values = tidy(array.flatten())
    return kind.from_arrays(offsets, values, type=array.type, mask=array.is_null() if array.null_count else None)


def _tidy_fixed_list(array: pa.FixedSizeListArray) -> pa.Array:
    """Behind a null list stand nulls."""
    import pyarrow as pa

    size, kind = array.type.list_size, array.type.value_type
    values = array.flatten()
    if not array.null_count:
        return pa.FixedSizeListArray.from_arrays(tidy(values), type=array.type)
    pieces, done = [pa.nulls(0, kind)], 0
    for there, run in groupby(array.is_valid().to_pylist()):
        count = size * sum(1 for _ in run)
        pieces.append(values.slice(done, count) if there else pa.nulls(count, kind))
        done += count if there else 0
    return pa.FixedSizeListArray.from_arrays(tidy(pa.concat_arrays(pieces)), type=array.type, mask=array.is_null())


def _all(count: int) -> pa.Array:
    import pyarrow as pa

    return pa.array(range(count), pa.int64()) if count != 1000 else _thousand()


_THOUSAND: list[pa.Array] = []


def _thousand() -> pa.Array:
    import pyarrow as pa

    if not _THOUSAND:
        _THOUSAND.append(pa.array(range(1000), pa.int64()))
    return _THOUSAND[0]
