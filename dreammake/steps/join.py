from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dreammake.core.arrow_types import plain, widest, words
from dreammake.core.diagnostic import fail
from dreammake.core.options import Choice, ColumnNames, Dataset, OptionSet, Str, Wrong
from dreammake.core.rows import BATCH_ROWS, Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._columns import check_known
from dreammake.steps._order import Picker, on_disk

if TYPE_CHECKING:
    import pyarrow as pa


class Join(Step):
    """Joins the rows with those of another input that have the same key: `join: input.labels` with `on: "id"`.

    As in SQL, a null equals nothing, and a row comes once for each match. The order is that of the rows, matches in
    the order of the other input; its rows without a match (`right`, `outer`) come last. The keys of the other input
    are held in memory. A column of the other input whose name is taken gets the suffix.
    """

    value = "other"
    paper = "zipped"
    example = """
rule questions:
    output: "data/questions"
    rows: [{"id": 1, "question": "Why?"}, {"id": 2, "question": "How?"}]

rule answers:
    output: "data/answers"
    rows: [{"id": 2, "answer": "Slowly."}]

rule all:
    input:
        questions: "data/questions"
        answers: "data/answers"
    output: "data/pairs"
    join: input.answers
        on: "id"
        how: "left"
"""

    class Options(OptionSet):
        other = Dataset("The dataset to join with: `input.labels`.")
        on = ColumnNames("The column, or the columns, that are equal in both.")
        how = Choice(
            "Which rows without a match stay: of neither side, of these rows, of the other input, of both.",
            *("inner", "left", "right", "outer"),
            default="inner",
        )
        suffix = Str("What is put behind a name of the other input that is taken.", default="_right")

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        other = look.columns(options.other)
        for column in options.on:
            check_known(column, have)
            check_known(column, other, f"`{options.other}`")
        if not options.on:
            raise Wrong("`on` names no column", 'say `on: "id"`', "missing-option")
        return None if have is None or other is None else _joined(have, other, options)

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return None

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        other = work.open(options.other)
        return Rows(_joined(rows.columns, other.columns, options), lambda: _join(rows, other, options, work))


def _joined(left: Sequence[str], right: Sequence[str], options: Any) -> tuple[str, ...]:
    added = [column + options.suffix if column in left else column for column in right if column not in options.on]
    columns = (*left, *added)
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise Wrong(f"two columns would be called `{twice}`", "give another `suffix`", "duplicate-column")
    return columns


@dataclass(slots=True)
class _Other:
    """The other side: where each key stands, and which of its rows were met."""

    table: pa.Table
    pick: Picker
    on: list[str]
    added: list[str]
    places: dict[Any, list[int]] = field(default_factory=dict)
    met: set[int] = field(default_factory=set)


def _join(rows: Rows, other_rows: Rows, options: Any, work: Work) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    table = on_disk(other_rows, work).table
    added = [column for column in table.column_names if column not in options.on]
    other = _Other(table, Picker(table), options.on, added)
    for number, key in enumerate(key for batch in table.to_batches() for key in _keys(batch, options.on)):
        if key is not None:
            other.places.setdefault(key, []).append(number)
    columns = _joined(rows.columns, table.column_names, options)
    schema = None
    for batch in rows.batches():
        _check_types(batch, other)
        schema = batch.schema if schema is None else schema
        yield from _matches(batch, other, columns, options.how)
    if options.how in ("right", "outer"):
        left = [number for number in range(table.num_rows) if number not in other.met]
        for at in range(0, len(left), BATCH_ROWS):
            picked = other.pick.rows(left[at : at + BATCH_ROWS])
            empty = pa.nulls(picked.num_rows)
            arrays = [picked.column(column) if column in options.on else empty for column in rows.columns]
            yield pa.record_batch([*arrays, *(picked.column(column) for column in added)], names=list(columns))


def _matches(batch: pa.RecordBatch, other: _Other, columns: Sequence[str], how: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    mine: list[int] = []
    theirs: list[int | None] = []
    keep = how in ("left", "outer")
    for number, key in enumerate(_keys(batch, other.on)):
        found: Sequence[int | None] = other.places.get(key, ()) if key is not None else ()
        if not found and keep:
            found = (None,)
        mine.extend([number] * len(found))
        theirs.extend(found)
    if how in ("right", "outer"):
        other.met.update(number for number in theirs if number is not None)
    size = other.pick.window
    for at in range(0, len(mine), size):
        some = theirs[at : at + size]
        present = [number for number in some if number is not None]
        picked = other.pick.rows(present)
        if len(present) < len(some):
            place = iter(range(len(present)))
            picked = picked.take(pa.array([None if n is None else next(place) for n in some], pa.int64()))
        taken = batch.take(pa.array(mine[at : at + size], pa.int64()))
        fields = [picked.schema.field(column) for column in other.added]
        named = [f.with_name(column) for f, column in zip(fields, columns[batch.num_columns :], strict=True)]
        arrays = [*taken.columns, *(picked.column(column) for column in other.added)]
        yield pa.record_batch(arrays, schema=pa.schema([*batch.schema, *named]))


def _keys(batch: pa.RecordBatch, on: Sequence[str]) -> Iterator[Any]:
    """The key of each row, None where a part of it is null."""
    import pyarrow as pa

    lists = [batch.column(column).to_pylist() for column in on]
    if len(lists) == 1:
        return map(_hashable, lists[0]) if pa.types.is_nested(batch.schema.field(on[0]).type) else iter(lists[0])
    return (None if None in key else tuple(map(_hashable, key)) for key in zip(*lists, strict=True))


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, list | dict) else value


def _check_types(batch: pa.RecordBatch, other: _Other) -> None:
    """Text never equals a number: joining the two would silently give nothing."""
    for column in other.on if other.places else ():
        mine, theirs = batch.schema.field(column).type, other.table.schema.field(column).type
        if widest(plain(mine), plain(theirs)) is None:
            fail(
                "mixed-types",
                f"`{column}` cannot be joined: it holds {words(mine)} here, and {words(theirs)} in the other input",
                hint=f"make them one type first, with `map {column}: str({column})` say",
                exit_code=1,
            )
