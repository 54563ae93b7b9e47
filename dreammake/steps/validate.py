from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import Diagnostic, DreamError, Note
from dreammake.core.options import ColumnNames, Dict, Float, OptionSet, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._columns import check_known
from dreammake.steps._quality import Measures, listed, table_of
from dreammake.steps._seen import Seen

if TYPE_CHECKING:
    import pyarrow as pa


class Bounds(Dict):
    """What a figure may be: `{"at_least": 1, "at_most": 10}`, or one of them."""

    takes = "`at_least`, `at_most`, or both"

    def read(self, value: Any) -> dict[str, Any]:
        return self.bounds(value, f"`{self.name}`")

    def bounds(self, value: Any, what: str) -> dict[str, Any]:
        numbers = isinstance(value, Mapping) and all(type(bound) in (int, float) for bound in value.values())
        if not numbers or not value or not set(value) <= {"at_least", "at_most"}:
            raise Wrong(f"{what} takes `at_least`, `at_most`, or both, with numbers", "write `at_least: 1`")
        if value.get("at_least", float("-inf")) > value.get("at_most", float("inf")):
            raise Wrong(
                f"{what} is at least {value['at_least']:g} and at most {value['at_most']:g}: nothing can be both"
            )
        return dict(value)


class ColumnBounds(Bounds):
    """What a figure of each column may be."""

    takes = "a block of columns, each with `at_least`, `at_most`, or both"

    def read(self, value: Any) -> dict[str, Any]:
        by_column = Dict.read(self, value)
        return {column: self.bounds(bounds, f"`{self.name}` of `{column}`") for column, bounds in by_column.items()}


class ColumnRates(Dict):
    takes = "a block of columns, each with a share between 0 and 1"

    def read(self, value: Any) -> dict[str, Any]:
        rates = super().read(value)
        for column, rate in rates.items():
            if type(rate) not in (int, float) or not 0 <= rate <= 1:
                raise Wrong(f"`{self.name}` of `{column}` is a share between 0 and 1", code="out-of-range")
        return rates


class Validate(Step):
    """Passes the rows on, and fails the job where they are not as good as they have to be.

    The figures are in the job's log, and with the error where one of them is off. A length is that of a text in
    characters, or of a list, and each row has to keep to it; what is null has none. A mean is over what is not null.
    Where there are no rows, shares are 0, and a mean is off.

    Rows stream.
    """

    example = """
rule all:
    output: "data/answers"
    rows: [{"answer": "Salt.", "score": 7}, {"answer": "By holding hands.", "score": 9}]
    validate:
        duplicate_rate: 0
        null_rate:
            answer: 0
        length:
            answer:
                at_least: 1
                at_most: 100
        mean:
            score:
                at_least: 6
"""

    class Options(OptionSet):
        rows = Bounds("How many rows there may be.", unit="rows", default=None)
        duplicate_rate = Float(
            "The share of rows that may be the same as one before.", default=None, at_least=0, at_most=1
        )
        duplicates_by = ColumnNames("The columns by which rows are the same; else all.", default=None)
        null_rate = ColumnRates("The share of each column that may be null.", default=None)
        length = ColumnBounds("How long the values of a column may be.", default=None)
        mean = ColumnBounds("What the mean of a column of numbers may be.", default=None)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        if all(options[option] is None for option in ("rows", "duplicate_rate", "null_rate", "length", "mean")):
            raise Wrong(
                "there is nothing to validate", "say what has to hold: `duplicate_rate: 0.01`", "missing-option"
            )
        for option in ("null_rate", "length", "mean"):
            for column in options[option] or ():
                check_known(column, have, f"`{option}`: the rows")
        return have

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        return Rows(rows.columns, lambda: _checked(options, rows, work), rows.count)


def _checked(options: Any, rows: Rows, work: Work) -> Iterator[pa.RecordBatch]:
    with Seen(work.folder()) as seen:
        measures = Measures(options, rows.columns, seen)
        for batch in rows.batches():
            measures.add(batch)
            yield batch
    figures = list(measures.figures())
    table = table_of(figures)
    work.say(table)
    off = [figure.what for figure in figures if not figure.holds]
    if off:
        message = f"the rows are not as good as they have to be: {listed(off)}"
        hint = "mend the rows in a step before, or change what has to hold"
        note = Note(f"what was measured\n{table}")
        raise DreamError(Diagnostic("quality-gate", message, hint=hint, notes=(note,)), exit_code=1)
