"""Compares two versions of a dataset by row.

Equal rows are set against each other first, however they moved. Of those that are left, two are one row that changed
where they have the same key: the columns that the caller names; else a column whose values are unique in either version
and mostly in both; else the columns that did not change as a whole; else, where as many rows are left, their order, if
they have any value in common.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.row_changes import BY_NUMBER, ChangedRow, ColumnChange, Row, RowChanges
from dreammake.store.dataset import OpenedDataset

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1000

Digests = list[bytes]
"""Eight bytes a row: two rows that differ share them by chance in one of 10^19 cases."""


def compare_rows(before: OpenedDataset, now: OpenedDataset, key: Sequence[str] = (), limit: int = 10) -> RowChanges:
    """How `now` differs from `before`. At most `limit` rows of each sort are held in the result. A `key` is of columns
    that both have."""
    common = [column for column in before.columns if column in now.columns]
    old, new = _digests(before.table, common), _digests(now.table, common)
    left_old, left_new = _left(old, new), _left(new, old)
    sides = _take(before.table, left_old), _take(now.table, left_new)
    matched_by, pairs = _pairs(*sides, common, key)
    chosen = [(left_old[one], left_new[other]) for one, other in pairs]
    gone = sorted({*left_old} - {one for one, _ in chosen})
    come = sorted({*left_new} - {other for _, other in chosen})
    changed, counts = _changed(before.table, now.table, chosen, common, matched_by, limit)
    return RowChanges(
        len(old),
        len(new),
        len(old) - len(left_old),
        len(come),
        len(gone),
        len(chosen),
        _without(old, left_old) != _without(new, left_new),
        matched_by if chosen else (),
        tuple(column for column in now.columns if column not in common),
        tuple(column for column in before.columns if column not in common),
        tuple(_columns(before.table, now.table, common, counts)),
        _rows(now.table, come[:limit]),
        _rows(before.table, gone[:limit]),
        changed,
    )


def _digests(table: pa.Table, columns: Sequence[str]) -> Digests:
    return [_digest(row) for row in _dicts(table.select(list(columns)))] if columns else [b""] * table.num_rows


def _dicts(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=CHUNK):
        yield from batch.to_pylist()


def _digest(value: Any) -> bytes:
    text = json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _plain(value: Any) -> Any:
    """Equal values written alike: a whole number whatever its type, a field that is null as none."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case Mapping():
            return {name: _plain(item) for name, item in value.items() if item is not None}
        case list():
            return [_plain(item) for item in value]
    return value


def _left(mine: Digests, theirs: Digests) -> list[int]:
    """The numbers of my rows that they have not, or not so often."""
    there = Counter(theirs)
    left = []
    for number, digest in enumerate(mine):
        if there[digest]:
            there[digest] -= 1
        else:
            left.append(number)
    return left


def _without(digests: Digests, left: Sequence[int]) -> Digests:
    out = {*left}
    return [digest for number, digest in enumerate(digests) if number not in out]


def _pairs(
    old: pa.Table, new: pa.Table, common: Sequence[str], key: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[int, int]]]:
    """The rows of two tables that are one row, and the columns by which they are."""
    if not old.num_rows or not new.num_rows or not common:
        return (), []
    columns = {column: (_digests(old, [column]), _digests(new, [column])) for column in key or common}
    found = tuple(key) or _unique(old, columns) or _whole(columns)
    if not found:
        return _by_number(old.num_rows, new.num_rows, columns)
    mine = zip(*(columns[column][0] for column in found), strict=True)
    theirs = zip(*(columns[column][1] for column in found), strict=True)
    places: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
    for number, value in enumerate(theirs):
        places[value].append(number)
    for numbers in places.values():
        numbers.reverse()
    return found, [(number, places[value].pop()) for number, value in enumerate(mine) if places.get(value)]


def _unique(old: pa.Table, columns: Mapping[str, tuple[Digests, Digests]]) -> tuple[str, ...]:
    """The column of texts or whole numbers whose values are unique in both tables, and the same in most rows."""
    import pyarrow as pa

    best, most = "", 0
    for column, (mine, theirs) in columns.items():
        kind = old.schema.field(column).type
        if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            continue
        shared = len({*mine} & {*theirs})
        if len({*mine}) == len(mine) and len({*theirs}) == len(theirs) and shared > most:
            best, most = column, shared
    return (best,) if 2 * most >= min(map(len, next(iter(columns.values())))) else ()


def _by_number(
    old: int, new: int, columns: Mapping[str, tuple[Digests, Digests]]
) -> tuple[tuple[str, ...], list[tuple[int, int]]]:
    """As many rows on both sides: those at one place that have any value in common."""
    if old != new:
        return (), []
    return BY_NUMBER, [
        (at, at) for at in range(old) if any(mine[at] == theirs[at] for mine, theirs in columns.values())
    ]


def _whole(columns: Mapping[str, tuple[Digests, Digests]]) -> tuple[str, ...]:
    """The columns that hold the same values as often in both tables, if these tell rows apart."""
    return tuple(
        column for column, (old, new) in columns.items() if Counter(old) == Counter(new) and len({*old}) * 2 > len(old)
    )


def _changed(
    before: pa.Table,
    now: pa.Table,
    pairs: Sequence[tuple[int, int]],
    common: Sequence[str],
    key: Sequence[str],
    limit: int,
) -> tuple[list[ChangedRow], Counter[str]]:
    """The first rows that changed, and in how many rows each column did."""
    counts: Counter[str] = Counter()
    shown: list[ChangedRow] = []
    for at in range(0, len(pairs), CHUNK):
        some = pairs[at : at + CHUNK]
        old = _take(before.select(list(common)), [one for one, _ in some]).to_pylist()
        new = _take(now.select(list(common)), [other for _, other in some]).to_pylist()
        for (one, other), was, here in zip(some, old, new, strict=True):
            cells = {name: (was[name], here[name]) for name in common if _plain(was[name]) != _plain(here[name])}
            counts.update(cells.keys())
            if len(shown) < limit:
                shown.append(ChangedRow(one, other, {name: here[name] for name in key if name in here}, cells))
    return shown, counts


def _columns(
    before: pa.Table, now: pa.Table, common: Sequence[str], counts: Mapping[str, int]
) -> Iterator[ColumnChange]:
    for column in common:
        means = [_mean(table.column(column)) for table in (before, now)]
        if counts.get(column) or (None not in means and means[0] != means[1]):
            yield ColumnChange(column, counts.get(column, 0), *means)


def _mean(values: pa.ChunkedArray) -> float | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    found: float | None = pc.mean(values).as_py()
    return found


def _rows(table: pa.Table, numbers: Sequence[int]) -> list[tuple[int, Row]]:
    return list(zip(numbers, _take(table, numbers).to_pylist(), strict=True))


def _take(table: pa.Table, numbers: Sequence[int]) -> pa.Table:
    import pyarrow as pa

    return table.take(pa.array(numbers, pa.int64()))
