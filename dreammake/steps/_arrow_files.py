"""Reads Parquet, Arrow IPC (file or stream, so Feather too), and text by lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core import features
from dreammake.core.diagnostic import fail
from dreammake.steps._files import DataFile, line_blocks, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET_ROWS = 10_000


def parquet_columns(file: DataFile) -> tuple[str, ...]:
    with _parquet(file) as opened:
        return tuple(opened.schema_arrow.names)


def parquet_batches(file: DataFile, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Only the wanted columns are read; where there is none, another one, for the number of rows."""
    import pyarrow as pa

    with _parquet(file) as opened:
        schema = features.for_stream(opened.schema_arrow)
        names = [name for name in schema.names if name in wanted] or schema.names[:1]
        chosen = pa.schema([schema.field(name) for name in names])
        try:
            for batch in opened.iter_batches(_PARQUET_ROWS, columns=names, use_threads=False):
                yield pa.record_batch([batch.column(name) for name in names], schema=chosen)
        except (pa.ArrowInvalid, OSError) as error:
            _not_a(file, error)


def arrow_columns(file: DataFile) -> tuple[str, ...]:
    with _source(file) as source:
        return tuple(_ipc(file, source)[0].names)


def arrow_batches(file: DataFile) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with _source(file) as source:
        schema, batches = _ipc(file, source)
        schema = features.for_stream(schema)
        try:
            for batch in batches:
                yield pa.record_batch(batch.columns, schema=schema)
        except (pa.ArrowInvalid, OSError) as error:
            _not_a(file, error)


def text_batches(file: DataFile, encoding: str) -> Iterator[pa.RecordBatch]:
    """The column `text`, a row a line without its end."""
    import pyarrow as pa

    for first, block in line_blocks(file, encoding):
        try:
            lines = block.decode("utf-8").replace("\r\n", "\n").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            line = first + block.count(b"\n", 0, error.start)
            file.bad("not UTF-8 text", line, hint='name its `encoding: "latin-1"`, say')
        yield pa.record_batch([pa.array(lines, pa.string())], names=["text"])


def _parquet(file: DataFile) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _not_empty(file)
    try:
        return pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowInvalid, OSError) as error:
        _not_a(file, error)


def _source(file: DataFile) -> Any:
    import pyarrow as pa

    _not_empty(file)
    try:
        return pa.OSFile(str(file.path), "rb")
    except OSError as error:
        unreadable(file, error)


def _ipc(file: DataFile, source: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Files that begin with ARROW1 have an index at their end; others are streams, as `datasets` writes them."""
    import pyarrow as pa

    try:
        if source.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(source)
            return reader.schema, (reader.get_batch(number) for number in range(reader.num_record_batches))
        source.seek(0)
        stream = pa.ipc.open_stream(source)
        return stream.schema, iter(stream)
    except (pa.ArrowInvalid, OSError) as error:
        _not_a(file, error)


def _not_empty(file: DataFile) -> None:
    try:
        if file.path.stat().st_size == 0:
            fail("empty-file", f"{file.name} is empty", exit_code=1)
        file.path.open("rb").close()
    except OSError as error:
        unreadable(file, error)


def _not_a(file: DataFile, error: Exception) -> NoReturn:
    file.bad(f"not a whole {file.format.capitalize()} file: {str(error).splitlines()[0]}")
