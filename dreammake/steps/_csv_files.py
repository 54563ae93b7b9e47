"""Reads CSV and TSV. A column is whole numbers, numbers, True or False, or text: the narrowest that takes every value
of it in every file. An empty cell is null in a column of numbers, and an empty text in a column of text.

Two passes: the first finds the types and stops where all are text, the second reads. So no type depends on how the
file happened to be cut into blocks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.steps._files import DataFile, open_bytes

if TYPE_CHECKING:
    import pyarrow as pa

_NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A", "n/a")
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")
_BLOCK = 1 << 20
_LONGEST_CELL = 1 << 30


def columns(file: DataFile, options: Any) -> tuple[str, ...]:
    """The names in the header line; without one the given ones, or `column1`, `column2`, …"""
    return _header(file, options)[0]


def types(files: Sequence[DataFile], options: Any) -> dict[str, pa.DataType]:
    """The type of each column, from all rows of all files; a column that holds nothing is text."""
    import pyarrow as pa

    found: dict[str, int] = {}
    for file in files:
        names = columns(file, options)
        found.update({name: 0 for name in names if name not in found})
        for batch in _read(file, options, {name: pa.string() for name in names}):
            open_ones = [name for name in names if found[name] < 4]
            if not open_ones:
                break
            for name in open_ones:
                found[name] = _wider(found[name], batch.column(name))
    ladder = [pa.string(), pa.bool_(), pa.int64(), pa.float64(), pa.string()]
    return {name: ladder[step] for name, step in found.items()}


def batches(file: DataFile, options: Any, kinds: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """The rows, in columns of the given types."""
    yield from _read(file, options, {name: kinds[name] for name in columns(file, options)})


def _wider(step: int, cells: pa.Array) -> int:
    """The step on the ladder null, bool, int, float, text that takes these cells too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = {2: pa.int64(), 3: pa.float64()}
    if step in numbers and _all_are(numbers[step], cells):
        return step
    values = cells.filter(pc.invert(pc.is_in(cells, pa.array(_NULLS))))
    if len(values) == 0:
        return step
    if step in (0, 1) and pc.all(pc.is_in(values, pa.array(_TRUE + _FALSE))).as_py():
        return 1
    if step == 1:
        return 4
    return next((number for number, kind in numbers.items() if step <= number and _all_are(kind, values)), 4)


def _all_are(kind: pa.DataType, cells: pa.Array) -> bool:
    import pyarrow as pa

    try:
        cells.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _header(file: DataFile, options: Any) -> tuple[tuple[str, ...], int]:
    """The column names, and how many lines the header takes."""
    with open_bytes(file, options.encoding) as stream:
        reader = _python_reader(stream, file, options)
        try:
            first: list[str] = next((row for row in reader if row), [])
        except UnicodeDecodeError:
            _bad_encoding(file, options)
        except csv.Error as error:
            file.bad(str(error), reader.line_num)
        lines = reader.line_num
    numbered = tuple(f"column{number}" for number in range(1, len(first) + 1))
    if not options.header:
        names = tuple(options.columns) if options.columns else numbered
        if len(names) != len(first):
            file.bad(f"{len(first)} cells for the {len(names)} names in `columns`", lines)
        return names, 0
    names = tuple(name.strip() or number for name, number in zip(first, numbered, strict=True))
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        file.bad(f"two columns are called `{sorted(twice)[0]}`", 1)
    return names, lines


def _python_reader(stream: Any, file: DataFile, options: Any) -> Any:
    quote = {"quotechar": options.quote} if options.quote else {"quoting": csv.QUOTE_NONE}
    csv.field_size_limit(_LONGEST_CELL)
    return csv.reader(io.TextIOWrapper(stream, "utf-8", newline=""), delimiter=_separator(file, options), **quote)


def _separator(file: DataFile, options: Any) -> str:
    return options.separator or ("\t" if file.format == "tsv" else ",")


def _read(file: DataFile, options: Any, kinds: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv as pc

    skipped = _header(file, options)[1]
    reading = pc.ReadOptions(
        use_threads=False, block_size=_BLOCK, column_names=list(kinds), skip_rows=skipped, encoding="utf-8"
    )
    parsing = pc.ParseOptions(
        delimiter=_separator(file, options), quote_char=options.quote or False, newlines_in_values=True
    )
    converting = pc.ConvertOptions(
        column_types=kinds, null_values=list(_NULLS), true_values=list(_TRUE), false_values=list(_FALSE)
    )
    with open_bytes(file, options.encoding) as stream:
        try:
            reader = pc.open_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=reading,
                parse_options=parsing,
                convert_options=converting,
            )
            yield from reader
        except UnicodeDecodeError:
            _bad_encoding(file, options)
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            if "Empty CSV" in str(error):
                return
            _explain(file, options, len(kinds), str(error))


def _explain(file: DataFile, options: Any, width: int, reason: str) -> NoReturn:
    """Arrow counts records and not lines, so Python's reader finds the line that is wrong."""
    with open_bytes(file, options.encoding) as stream:
        reader = _python_reader(stream, file, options)
        try:
            for row in reader:
                if row and len(row) != width:
                    file.bad(f"{len(row)} cells in place of {width}", reader.line_num)
        except UnicodeDecodeError:
            _bad_encoding(file, options)
        except csv.Error as error:
            file.bad(str(error), reader.line_num)
    file.bad(reason.splitlines()[0])


def _bad_encoding(file: DataFile, options: Any) -> NoReturn:
    number = 0
    with open_bytes(file, options.encoding) as stream:
        try:
            for number, line in enumerate(stream, 1):  # noqa: B007
                line.decode("utf-8")
        except UnicodeDecodeError:
            file.bad(f"not {options.encoding} text", number or 1, hint='name its `encoding: "latin-1"`, say')
    raise AssertionError("the text was read well the second time")
