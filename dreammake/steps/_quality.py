"""Figures of rows that stream by, beside what they may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core.arrow_types import is_list, words
from dreammake.core.diagnostic import fail
from dreammake.steps._row_digests import RowDigests
from dreammake.steps._seen import Seen

if TYPE_CHECKING:
    import pyarrow as pa

Bounds = Mapping[str, float]
"""`at_least`, `at_most`, or both."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, what it is, what it may be, and whether it is that."""

    what: str
    value: str
    wanted: str
    holds: bool


class Measures:
    """What the options of `validate` measure, counted batch by batch."""

    def __init__(self, options: Any, columns: Sequence[str], seen: Seen) -> None:
        self._options = options
        self._seen = seen
        self._digests = None
        if options.duplicate_rate is not None:
            self._digests = RowDigests(columns, options.duplicates_by)
        self._rows = self._repeated = 0
        self._nulls = dict.fromkeys(options.null_rate or (), 0)
        self._off = dict.fromkeys(options.length or (), 0)
        self._sums = dict.fromkeys(options.mean or (), 0.0)
        self._counts = dict.fromkeys(options.mean or (), 0)

    def add(self, batch: pa.RecordBatch) -> None:
        """Raises DreamError `unfit-column` where a column has no lengths, or no mean."""
        import pyarrow.compute as pc

        self._rows += batch.num_rows
        if self._digests is not None:
            self._repeated += self._seen.are_new(self._digests.of(batch)).count(False)
        for column in self._nulls:
            self._nulls[column] += batch.column(column).null_count
        for column in self._off:
            lengths = _lengths(batch.column(column), column).to_pylist()
            bounds = self._options.length[column]
            self._off[column] += sum(length is not None and not _within(length, bounds) for length in lengths)
        for column in self._sums:
            numbers = _numbers(batch.column(column), column)
            self._sums[column] += pc.sum(numbers).as_py() or 0
            self._counts[column] += len(numbers) - numbers.null_count

    def figures(self) -> Iterator[Figure]:
        options = self._options
        if options.rows is not None:
            yield Figure("rows", f"{self._rows:,}", _in_words(options.rows), _within(self._rows, options.rows))
        if options.duplicate_rate is not None:
            yield self._share("duplicate rate", self._repeated, options.duplicate_rate)
        for column, nulls in self._nulls.items():
            yield self._share(f"null rate of `{column}`", nulls, options.null_rate[column])
        for column, off in self._off.items():
            value = f"{off:,} off" if off else "all within"
            yield Figure(f"length of `{column}`", value, _in_words(options.length[column]), not off)
        for column, count in self._counts.items():
            bounds, mean = options.mean[column], self._sums[column] / max(1, count)
            holds = count > 0 and _within(mean, bounds)
            yield Figure(f"mean of `{column}`", f"{mean:.6g}" if count else "none", _in_words(bounds), holds)

    def _share(self, what: str, some: int, most: float) -> Figure:
        rate = some / max(1, self._rows)
        return Figure(what, f"{rate:.4g} ({some:,} of {self._rows:,})", f"at most {most:g}", rate <= most)


def table_of(figures: Sequence[Figure]) -> str:
    """A line a figure."""
    cells = [(figure.what, figure.value, figure.wanted, "ok" if figure.holds else "off") for figure in figures]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _within(value: float, bounds: Bounds) -> bool:
    return bounds.get("at_least", value) <= value <= bounds.get("at_most", value)


def _in_words(bounds: Bounds) -> str:
    return " and ".join(
        f"{name.replace('_', ' ')} {bounds[name]:g}" for name in ("at_least", "at_most") if name in bounds
    )


def _lengths(array: pa.Array, column: str) -> pa.Array:
    """Characters of texts, values of lists."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types, kind = pa.types, array.type
    if types.is_null(kind):
        return array
    if types.is_string(kind) or types.is_large_string(kind):
        return pc.utf8_length(array)
    if is_list(kind):
        return pc.list_value_length(array)
    _unfit(column, kind, "`length` measures texts and lists")


def _numbers(array: pa.Array, column: str) -> pa.Array:
    import pyarrow as pa

    types, kind = pa.types, array.type
    if not (types.is_null(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        _unfit(column, kind, "`mean` is of numbers")
    return array if types.is_null(kind) else array.cast(pa.float64())


def _unfit(column: str, kind: pa.DataType, why: str) -> NoReturn:
    hint = f"make a column of what you mean, with a `map` of `{column}` say"
    fail("unfit-column", f"the column `{column}` holds {words(kind)}, and {why}", hint=hint, exit_code=1)
