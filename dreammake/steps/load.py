from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Bool, Choice, OptionSet, Str, Strings, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps import _arrow_files, _csv_files, _dataset_folder, _hub_dataset, _json_files, _sql
from dreammake.steps._columns import check_known, united, with_columns
from dreammake.steps._fetched import fetched, format_at
from dreammake.steps._files import FORMATS, DataFile, find, is_pattern
from dreammake.steps._sources import kind_of, local_path

if TYPE_CHECKING:
    import pyarrow as pa


class Load(Step):
    """Reads files: CSV, TSV, JSON, JSON lines, Parquet, text, Arrow, and dataset folders.

    The source is a path, a glob, a folder or a list of them; `.gz`, `.bz2` and `.zst` are read as they are. Several
    files are read one after the other, those of one glob in the order of their names, and their columns are united:
    what a file lacks is null. The files' content, not their time, decides whether a target is stale.

    - **CSV, TSV**: a column is whole numbers, numbers, True or False, or text, whichever takes every value of it. An
      empty cell is null in a column of numbers and an empty text in a column of text.
    - **JSON**: an array of objects, an object with one list (`field` names it), or lines. The columns are the keys of
      the first 1,000 rows; a key that only comes later is an error, unless `columns` names what is wanted.
    - **text**: the column `text`, one row a line.
    - **the Hub**: `hf://org/name` with `split`, `config` and `revision`. The first build pins the revision to its
      commit, and later builds read that commit; `dreammake -F` looks again. `streaming: True` keeps no copy.
    - **SQL**: a SQLite file (`.db`, `.sqlite`) or a URL of SQLAlchemy, with a `query` or a `table`. A SQLite file
      counts by its content; what a server holds is read when the target is built, and `-F` reads it again.
    - **addresses**: `https://`, `s3://`, `gs://`, by fsspec, are fetched when the target is built, and read as files;
      in a bucket, globs too. `-F` fetches them again.
    """

    value = "source"
    source = True
    paper = "DataSource, JSONDataSource, CSVDataSource, TextDataSource, HFHubDataSource, HFDatasetDataSource"
    example = """
rule notes:
    output: "data/notes.csv"
    shell: "(echo note,times; echo milk,2) > {output}"

rule all:
    input: "data/notes.csv"
    output: "data/notes"
    load: "data/notes.csv"
"""

    class Options(OptionSet):
        source = Strings("A path, a glob, a folder, `hf://org/name`, a database, an address, or a list of them.")
        format = Choice("The format, where the ending of a name does not tell it.", *FORMATS, default=None)
        columns = Strings("The columns to read; without a header line, their names.", default=None)
        separator = Str("What stands between the cells of a CSV file.", default=None)
        header = Bool("Whether the first line of a CSV file names its columns.", default=True)
        quote = Str('The quotation mark of a CSV file; `""` for none.', default='"')
        encoding = Str("The encoding of text files.", default="utf-8")
        field = Str("Where in a JSON object the list of rows is: `data`, `result.items`.", default=None)
        split = Str("Which split of a dataset.", default=None)
        config = Str("Which configuration of a hub's dataset.", default=None)
        revision = Str("Which branch, tag or commit of a hub's dataset.", default=None)
        query = Str("What to ask of a database: a `select`.", default=None)
        table = Str("Which table of a database, in place of a query.", default=None)
        streaming = Bool("Read a hub's dataset without keeping a copy.", default=False, result=False)

    @classmethod
    def reads(cls, options: Any) -> list[str]:
        """The paths and globs, as written, whose content the result depends on."""
        return [path for source in options.source if (path := local_path(source)) is not None]

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check_query(options)
        try:
            return _columns_known(options, look)
        except DreamError as error:
            first = error.diagnostics[0]
            raise Wrong(first.message, first.hint, first.code) from error

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return None

    @classmethod
    def elsewhere(cls, options: Any) -> bool:
        return any(local_path(source) is None for source in options.source)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        kinds = {kind_of(source) for source in options.source}
        if kinds <= {"hub"} or kinds <= {"sql"}:
            read = _hub_dataset.rows_of if "hub" in kinds else _sql.rows_of
            return _one_after_another([read(source, options, work) for source in options.source], options)
        files: list[DataFile] = []
        for source in options.source:
            if kind_of(source) == "address":
                files += fetched(source, options.format, work)
            else:
                files += find([source], work.path, options.format)
        wanted = _wanted(files, options)
        return Rows(wanted, lambda: _batches(files, options, wanted, work))


def _columns_known(options: Any, look: Look) -> Columns | None:
    """The columns, where files and databases on disk can tell them."""
    if any(kind_of(source) != "file" for source in options.source):
        return _columns_elsewhere(options, look)
    plain = [source for source in options.source if not is_pattern(source)]
    made = [look.columns(source) for source in plain] if options.split is None else [None]
    if len(plain) == len(options.source) and None not in made:
        return _chosen(options, united(columns for columns in made if columns is not None))
    if not all(look.source(source).exists() for source in plain):
        return None  # a rule makes it; the planner has refused what nobody makes
    return _wanted(find(options.source, look.source, options.format), options)


def _columns_elsewhere(options: Any, look: Look) -> Columns | None:
    """Those of a SQLite file; what lies on no disk here is not known yet."""
    for source in options.source:
        if kind_of(source) == "address" and options.format is None:
            format_at(source)
    if options.columns:
        return tuple(options.columns)
    [source, *more] = options.source
    path = local_path(source)
    if more or path is None or kind_of(source) != "sql" or not look.source(path).exists():
        return None
    return _sql.sqlite_columns(look.source(path), path, options)


def _check_query(options: Any) -> None:
    """A database needs to know what to read, and is no place for files. Raises Wrong."""
    kinds = {kind_of(source) for source in options.source}
    if len(kinds) > 1 and kinds & {"hub", "sql"}:
        hint = "load each in a rule of its own, and `concat` them"
        raise Wrong("one `load` cannot read files beside a hub or a database", hint, "conflicting-options")
    given = [name for name in ("query", "table") if options.values.get(name) is not None]
    if "sql" in kinds and len(given) != 1:
        said = "neither a `query` nor a `table`" if not given else "both a `query` and a `table`"
        raise Wrong(f"the `load` of a database has {said}", 'say what to read: `table: "notes"`', "missing-option")
    if given and "sql" not in kinds:
        raise Wrong(f"`{given[0]}` is for databases, and this `load` reads none", "take it out", "conflicting-options")


def _one_after_another(parts: list[Rows], options: Any) -> Rows:
    wanted = _chosen(options, united(part.columns for part in parts))
    counts = [part.count for part in parts]
    count = None if None in counts else sum(count or 0 for count in counts)
    return Rows(wanted, lambda: (with_columns(batch, wanted) for part in parts for batch in part), count)


def _wanted(files: list[DataFile], options: Any) -> tuple[str, ...]:
    """The columns to read, in order. Raises Wrong where the user names one that no file has."""
    if options.columns and (not options.header or all(file.format in ("json", "jsonl") for file in files)):
        return tuple(options.columns)
    return _chosen(options, united(_PEEK[file.format](file, options) for file in files))


def _chosen(options: Any, have: Columns) -> Columns:
    for column in options.columns or ():
        check_known(column, have, "the files")
    return tuple(options.columns) if options.columns else have


_PEEK: dict[str, Callable[[DataFile, Any], tuple[str, ...]]] = {
    "csv": _csv_files.columns,
    "tsv": _csv_files.columns,
    "json": _json_files.columns,
    "jsonl": _json_files.columns,
    "parquet": lambda file, options: _arrow_files.parquet_columns(file),
    "arrow": lambda file, options: _arrow_files.arrow_columns(file),
    "text": lambda file, options: ("text",),
    "dataset": lambda file, options: _dataset_folder.columns(file, options.split),
}


def _batches(files: list[DataFile], options: Any, wanted: tuple[str, ...], work: Work) -> Iterator[pa.RecordBatch]:
    tables = [file for file in files if file.format in ("csv", "tsv")]
    kinds = _csv_files.types(tables, options) if tables else {}
    for file in files:
        for batch in _read(file, options, wanted, kinds, work.open):
            yield with_columns(batch, wanted)


def _read(
    file: DataFile, options: Any, wanted: tuple[str, ...], kinds: dict[str, Any], open: Callable[[str], Rows]
) -> Iterator[pa.RecordBatch]:
    match file.format:
        case "csv" | "tsv":
            return _csv_files.batches(file, options, kinds)
        case "json" | "jsonl":
            return _json_files.batches(file, options, wanted)
        case "parquet":
            return _arrow_files.parquet_batches(file, wanted)
        case "arrow":
            return _arrow_files.arrow_batches(file)
        case "text":
            return _arrow_files.text_batches(file, options.encoding)
    return open(str(Path(file.name) / _dataset_folder.split(file, options.split))).batches()
