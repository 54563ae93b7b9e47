"""Reads JSON: lines, an array, or an object with a list in it.

The columns of JSON are the keys of its first rows (1,000, or 1 MiB of them). A key that only comes later is an error
rather than a loss; `columns:` names them all and needs no look.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import DreamError, fail
from dreammake.core.rows import BATCH_ROWS, batch_of
from dreammake.steps._columns import with_columns
from dreammake.steps._files import DataFile, line_blocks, open_bytes

if TYPE_CHECKING:
    import pyarrow as pa

PEEK_ROWS = 1000
PEEK_BYTES = 1 << 20
_CHUNK = 1 << 20


def columns(file: DataFile, options: Any) -> tuple[str, ...]:
    """The keys of the first rows."""
    found: dict[str, None] = {}
    for number, (_, row) in enumerate(_rows(file, options, PEEK_BYTES), 1):
        found.update(dict.fromkeys(row))
        if number == PEEK_ROWS:
            break
    return tuple(found)


def batches(file: DataFile, options: Any, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows; keys that are not `wanted` are an error, unless the user named the columns."""
    known = None if options.columns else frozenset(wanted)
    if _is_lines(file, options):
        yield from _line_batches(file, options, wanted, known)
        return
    waiting: list[dict[str, Any]] = []
    for line, row in _rows(file, options):
        _check_keys(file, line, row, known)
        waiting.append(row)
        if len(waiting) == BATCH_ROWS:
            yield batch_of(wanted, waiting)
            waiting = []
    if waiting:
        yield batch_of(wanted, waiting)


def _rows(file: DataFile, options: Any, limit: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows as dicts with their line (for an object: 0), at most about `limit` bytes of them."""
    if _is_lines(file, options):
        read = 0
        for first, block in line_blocks(file, options.encoding, limit or _CHUNK):
            yield from _parsed_lines(file, first, block)
            read += len(block)
            if limit is not None and read >= limit:
                return
        return
    with open_bytes(file, options.encoding) as stream:
        text = io.TextIOWrapper(stream, "utf-8")
        try:
            head = text.read(_CHUNK)
            if head.lstrip().startswith("[") and not options.field:
                yield from _array_rows(file, head, text)
            else:
                yield from ((0, row) for row in _object_rows(file, head + text.read(), options.field))
        except UnicodeDecodeError as error:
            file.bad(f"not {options.encoding}: {error.reason}", hint='name its `encoding: "latin-1"`, say')


def _is_lines(file: DataFile, options: Any) -> bool:
    """A .jsonl file, or a .json file that really holds lines."""
    if file.format == "jsonl":
        return True
    if options.field:
        return False
    with open_bytes(file, options.encoding) as stream:
        first = stream.readline(PEEK_BYTES).strip()
        second = stream.readline(64).strip()
    if not (first.startswith(b"{") and second.startswith(b"{")):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _line_batches(
    file: DataFile, options: Any, wanted: Sequence[str], known: frozenset[str] | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    texts: dict[str, pa.DataType] = {}
    for first, block in line_blocks(file, options.encoding):
        try:
            table = _parsed_block(block, texts)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
            yield from _slow_batches(file, first, block, wanted, known)
            continue
        if known is not None and not known.issuperset(table.column_names):
            for number, row in _parsed_lines(file, first, block):
                _check_keys(file, number, row, known)
        for batch in table.to_batches():
            yield with_columns(batch, wanted)


def _parsed_block(block: bytes, texts: dict[str, pa.DataType]) -> pa.Table:
    """A block of lines as a table. Text that looks like a time stays text: `texts` collects the types of such columns,
    for this block and the ones after it."""
    import pyarrow as pa
    import pyarrow.json as pj

    reading = pj.ReadOptions(use_threads=False, block_size=len(block) + 1)
    if block.isspace():
        return pa.table({})
    while True:
        parsing = pj.ParseOptions(explicit_schema=pa.schema(texts) if texts else None)
        table = pj.read_json(pa.BufferReader(block), read_options=reading, parse_options=parsing)
        timed = {field.name: field.type for field in table.schema if _has_time(field.type)}
        if not timed:
            return table
        texts.update({name: _without_time(kind) for name, kind in timed.items()})


def _has_time(kind: pa.DataType) -> bool:
    return not _without_time(kind).equals(kind)


def _without_time(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _without_time(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_without_time(kind.value_type))
    return kind


def _slow_batches(
    file: DataFile, first: int, block: bytes, wanted: Sequence[str], known: frozenset[str] | None
) -> Iterator[pa.RecordBatch]:
    """A block that Arrow's reader does not take, read by Python's: it is the judge of what is wrong, and where."""
    rows = []
    for number, row in _parsed_lines(file, first, block):
        _check_keys(file, number, row, known)
        rows.append(row)
    try:
        yield batch_of(wanted, rows)
    except DreamError as error:
        wrong = error.diagnostics[0]
        last = first + block.count(b"\n")
        fail(wrong.code, f"{file.name}, lines {first:,} to {last:,}: {wrong.message}", hint=wrong.hint, exit_code=1)


def _parsed_lines(file: DataFile, first: int, block: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(block.split(b"\n"), first):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except UnicodeDecodeError:
            file.bad("not UTF-8 text", number, hint='name its `encoding: "latin-1"`, say')
        except ValueError as error:
            file.bad(f"no JSON: {error}".split(": line 1")[0] + f" at column {getattr(error, 'pos', 0) + 1}", number)
        if not isinstance(row, dict):
            file.bad(f"a row is an object in braces, not {_word(row)}", number)
        yield number, row


def _array_rows(file: DataFile, head: str, rest: io.TextIOBase) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of an array, read piece by piece."""
    decode = json.JSONDecoder().raw_decode
    text, at, line, size = head, head.index("[") + 1, 1, _CHUNK
    line += text.count("\n", 0, at)
    while True:
        begin = at
        at = _skip(text, at)
        line += text.count("\n", begin, at)
        if text[at : at + 1] == "]":
            return
        if at < len(text) and text[at] != "{":
            file.bad("the array holds something that is no object", line)
        try:
            row, end = decode(text, at) if at < len(text) else (None, at)
            problem = None
        except json.JSONDecodeError as error:
            problem, row, end = error, None, at
        if row is None:
            more = "" if problem is not None and not _cut_short(problem, text) else rest.read(size)
            if not more:
                where = line if problem is None else line + text.count("\n", at, problem.pos)
                file.bad("the array is not closed" if problem is None else f"no JSON: {problem.msg}", where)
            text, at, size = text[at:] + more, 0, size * 2 if problem else _CHUNK
            continue
        yield line, row
        line += text.count("\n", at, end)
        at = end


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\n", "\r", "\t", ","):
        at += 1
    return at


def _cut_short(error: json.JSONDecodeError, text: str) -> bool:
    """Whether the error may only be that the rest of the text was not read yet."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - 8


def _object_rows(file: DataFile, text: str, field: str | None) -> Iterator[dict[str, Any]]:
    """The rows of the one list in an object; such a file is read whole."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        file.bad(f"no JSON: {error.msg}", error.lineno)
    for part in (field or "").split(".") if field else ():
        if not isinstance(value, dict) or part not in value:
            file.bad(f"there is no field `{field}`", hint=f"fields here: {', '.join(value)}" if value else "")
        value = value[part]
    if isinstance(value, dict):
        lists = [key for key, item in value.items() if isinstance(item, list)]
        if len(lists) != 1:
            names = ", ".join(lists) or "none"
            file.bad("the object should have one list of rows", hint=f"name it with `field:`; lists here: {names}")
        value = value[lists[0]]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        file.bad("the list holds something that is no object")
    yield from value


def _check_keys(file: DataFile, line: int, row: dict[str, Any], known: frozenset[str] | None) -> None:
    if known is None or known.issuperset(row):
        return
    late = next(key for key in row if key not in known)
    place = f"{file.name}, line {line}" if line else file.name
    fail(
        "late-column",
        f"{place}: the field `{late}` is in none of the first {PEEK_ROWS:,} rows",
        hint="name all that you want with `columns: [...]`",
        exit_code=1,
    )


def _word(value: Any) -> str:
    return {list: "an array", str: "a text", type(None): "null"}.get(type(value), "a number")
