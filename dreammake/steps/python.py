from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.job import Put
from dreammake.core.options import Choice, Dict, OptionSet, Str, Wrong
from dreammake.core.rows import BATCH_ROWS, Rows, add_column, from_dicts, with_column
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.core.user_function import UserFunction
from dreammake.steps._columns import even_batches

if TYPE_CHECKING:
    import pyarrow as pa


class Python(Step):
    """Calls a function of yours: `python: "steps.py:clean"`. Its source, what it calls in the project, and its
    arguments decide whether the target is stale.

    What it takes and gives is said by `per`; `args` are its other arguments.

    - **row**: `function(row, **args)` takes a dict and gives the row in its place: a dict, a list of dicts for
      several, or None for none. In `python NAME:` it gives the value of the column NAME.
    - **batch**: `function(columns, **args)` takes up to 1,000 rows as a dict of lists, and gives a dict of lists, or
      a list of dicts; in `python NAME:` the list of the column's values.
    - **dataset**: `function(rows, **args)` takes an iterator over the rows, each a dict, and gives (or yields) dicts.
      A function of a rule without input has no parameter for rows.

    A function with a parameter called `output` writes the output itself, as plain files: it gets the path, or a dict
    of the paths by name where the rule has names. A parameter called `input` gets the paths of the inputs likewise.
    """

    named = "maybe-column"
    value = "function"
    pure = False
    paper = "Custom steps, map"
    example = """
rule code:
    output: "upper.py"
    shell: "echo 'def upper(row): return row[\\"text\\"].upper()' > {output}"

rule all:
    input: "upper.py"
    output: "data/loud"
    rows: [{"text": "hello"}]
    python loud: "upper.py:upper"
"""

    class Options(OptionSet):
        function = Str("The function, as `file.py:function`; the file is a path in the project.")
        args = Dict("More arguments, by name.", default=None)
        per = Choice("What one call takes.", "row", "batch", "dataset", default="row")

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        file, _, function = options.function.rpartition(":")
        if not file or not function:
            raise Wrong(f"`{options.function}` is no function", 'write it as "file.py:function"')
        if name is not None and options.per == "dataset":
            raise Wrong(f"a function of the whole dataset gives rows, not the column `{name}`", "leave out the name")
        return None if name is None or have is None else add_column(have, name)

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return None

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows | Mapping[str, Rows]:
        function = UserFunction(options.function, Path(work.path(".")), work.say)
        args = dict(options.args or {})
        writes = "output" in function.parameters and "output" not in args
        if writes:
            args["output"] = _paths(work.outputs, getattr(work, "output_path", work.path))
        if "input" in function.parameters and "input" not in args:
            args["input"] = _paths(work.inputs, work.path)
        rows = Rows((), lambda: iter(())) if rows is None else rows
        per = options.per if _takes_rows(function, args) else "nothing"
        if writes:
            given = () if per == "nothing" else (rows.dicts(),)
            function(*given, **args)
            return {}
        if name is not None:
            return _column(function, args, per, name, rows)
        return _rows(function, _results(function, args, per, rows), rows)


def _takes_rows(function: UserFunction, args: Mapping[str, Any]) -> bool:
    return any(parameter not in args for parameter in function.parameters)


def _paths(puts: Iterable[Put], place: Callable[[str], Path]) -> Any:
    """The path of the only put, or a dict of them by name."""
    named = {put.name: str(place(put.path)) for put in puts if put.name}
    return named or next((str(place(put.path)) for put in puts), None)


def _column(function: UserFunction, args: Mapping[str, Any], per: str, name: str, rows: Rows) -> Rows:
    """The rows with the column that the function gives."""

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        if per == "nothing":
            return with_column(batch, name, [function(**args) for _ in range(batch.num_rows)])
        if per == "row":
            return with_column(batch, name, [function(row, **args) for row in batch.to_pylist()])
        values = list(function.items(function(batch.to_pydict(), **args)))
        if len(values) != batch.num_rows:
            function.wrong(f"gave {len(values)} values for {batch.num_rows} rows")
        return with_column(batch, name, values)

    cut = Rows(rows.columns, lambda: even_batches(rows), rows.count) if per == "batch" else rows
    return cut.then(add_column(rows.columns, name), change, same_count=True)


def _results(function: UserFunction, args: Mapping[str, Any], per: str, rows: Rows) -> Iterator[dict[str, Any]]:
    """The rows that the function gives, one by one."""
    match per:
        case "nothing":
            yield from _dicts(function, function(**args))
        case "dataset":
            yield from _dicts(function, function(rows.dicts(), **args))
        case "row":
            for row in rows.dicts():
                made = function(row, **args)
                yield from () if made is None else _dicts(function, [made] if isinstance(made, dict) else made)
        case "batch":
            for batch in even_batches(rows):
                made = function(batch.to_pydict(), **args)
                yield from _dicts(function, _of_lists(function, made) if isinstance(made, dict) else made)


def _dicts(function: UserFunction, made: Any) -> Iterator[dict[str, Any]]:
    if isinstance(made, str) or not hasattr(made, "__iter__"):
        function.wrong(f"gave {_article(made)}, not rows")
    for row in function.items(made):
        if not isinstance(row, dict) or not all(isinstance(column, str) for column in row):
            function.wrong(f"gave {_article(row)} as a row, not a dict of columns")
        yield row


def _of_lists(function: UserFunction, made: dict[str, Any]) -> list[dict[str, Any]]:
    lengths = {len(values) for values in made.values()}
    if len(lengths) > 1:
        function.wrong(f"gave lists of different lengths: {', '.join(map(str, sorted(lengths)))}")
    return [dict(zip(made, row, strict=True)) for row in zip(*made.values(), strict=True)]


def _rows(function: UserFunction, results: Iterator[dict[str, Any]], before: Rows) -> Rows:
    """Results as rows: the first 1,000 say which columns there are."""
    first = list(islice(results, BATCH_ROWS))
    columns = tuple(dict.fromkeys(column for row in first for column in row)) or before.columns
    known = frozenset(columns)

    def checked() -> Iterator[dict[str, Any]]:
        for row in chain(first, results):
            if not known.issuperset(row):
                late = next(column for column in row if column not in known)
                hint = f"give every row a `{late}`, None where there is none"
                message = f"`{function.reference}` gave the column `{late}`, which its first rows did not have"
                fail("late-column", message, hint=hint, exit_code=1)
            yield row

    return from_dicts(columns, checked())


def _article(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
