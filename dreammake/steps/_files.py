"""Which files a `load` names, and opening them: endings, globs, compression, and errors that name the file."""

from __future__ import annotations

import codecs
import glob
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from dreammake.core.diagnostic import fail
from dreammake.core.spelling import nearest

FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "text", "arrow", "dataset")
_ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_COMPRESSED = (".gz", ".bz2", ".zst")
_DATASET_FILES = ("state.json", "dataset_info.json", "dataset_dict.json")
_BLOCK = 2 << 20


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file, or dataset folder, to read: its name as the user knows it, its place, and its format."""

    name: str
    path: Path
    format: str

    def bad(self, reason: str, line: int | None = None, hint: str = "") -> NoReturn:
        place = self.name if line is None else f"{self.name}, line {line}"
        fail("bad-data", f"{place}: {reason}", hint=hint, exit_code=1)


def find(sources: Sequence[str], place: Callable[[str], Path], format: str | None = None) -> list[DataFile]:
    """The files that paths, folders and globs name, those of one glob or folder sorted.

    `place` gives the place of a project path. Raises DreamError `no-such-file`, `unknown-format`.
    """
    found: list[DataFile] = []
    for source in sources:
        found.extend(_named(source, place, format))
    return found


def is_pattern(source: str) -> bool:
    """Whether a path is a glob."""
    return any(sign in source for sign in "*?[")


def _named(source: str, place: Callable[[str], Path], format: str | None) -> Iterator[DataFile]:
    if not is_pattern(source):
        yield from _existing(source, place(source), format)
        return
    parts = source.split("/")
    plain = next(number for number, part in enumerate(parts) if is_pattern(part))
    folder, pattern = "/".join(parts[:plain]), "/".join(parts[plain:])
    root = place(folder or ".") if not source.startswith("/") or folder else Path("/")
    names = sorted(glob.glob(pattern, root_dir=root, recursive=True))
    if not names and place(source).exists():
        yield from _existing(source, place(source), format)
    elif not names:
        fail("no-such-file", f"no file matches `{source}`")
    for name in names:
        if (root / name).is_file() or _is_dataset(root / name):
            yield from _existing(f"{folder}/{name}" if folder else name, root / name, format)


def _existing(name: str, path: Path, format: str | None) -> Iterator[DataFile]:
    if not path.exists():
        _missing(name, path)
    if not path.is_dir():
        yield DataFile(name, path, format or format_of(name))
    elif _is_dataset(path) or format == "dataset":
        yield DataFile(name, path, "dataset")
    else:
        members = [member for member in sorted(os.listdir(path)) if format or _ending(member) in _ENDINGS]
        members = [member for member in members if not member.startswith(".") and (path / member).is_file()]
        if not members:
            fail("no-such-file", f"the folder `{name}` has no file that `load` can read")
        for member in members:
            yield DataFile(f"{name}/{member}", path / member, format or format_of(member))


def _missing(name: str, path: Path) -> NoReturn:
    siblings = os.listdir(path.parent) if path.parent.is_dir() else []
    near = nearest(path.name, siblings)
    folder = "" if path.parent.is_dir() else f": there is no folder {Path(name).parent}"
    hint = f"did you mean `{Path(name).with_name(near)}`?" if near else ""
    fail("no-such-file", f"the file `{name}` does not exist{folder}", hint=hint)


def _ending(name: str) -> str:
    stem, ending = os.path.splitext(name.lower())
    return os.path.splitext(stem)[1] if ending in _COMPRESSED else ending


def format_of(name: str) -> str:
    found = _ENDINGS.get(_ending(name))
    if found is None:
        fail(
            "unknown-format",
            f"the ending of `{name}` does not tell its format",
            hint=f'say it: `format: "jsonl"`; known are {", ".join(FORMATS)}',
        )
    return found


def _is_dataset(path: Path) -> bool:
    return any((path / name).is_file() for name in _DATASET_FILES)


def open_bytes(file: DataFile, encoding: str = "utf-8") -> BinaryIO:
    """The file's text as UTF-8 bytes: decompressed by its ending, recoded from `encoding`, without a byte order mark.

    Raises DreamError: unreadable, empty, or binary data where text should be.
    """
    try:
        stream = _decompressed(file)
        head = stream.peek(4096)[:4096]  # type: ignore[attr-defined]
    except (OSError, EOFError) as error:
        unreadable(file, error)
    if not head:
        fail("empty-file", f"{file.name} is empty", exit_code=1)
    if _codec(encoding) not in ("utf-8", "utf-8-sig"):
        return io.BufferedReader(_Recoded(stream, encoding))
    if b"\0" in head:
        file.bad(f"this is no {file.format} but binary data", hint="name its `format:` or its `encoding:`")
    if head.startswith(codecs.BOM_UTF8):
        stream.read(3)
    return stream


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        fail("unknown-encoding", f"there is no encoding `{encoding}`", hint='well-known ones: "utf-16", "latin-1"')


class _Recoded(io.RawIOBase):
    """Text of another encoding as UTF-8 bytes. Reading raises UnicodeDecodeError."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder(encoding)().decode
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            block = self._stream.read(_BLOCK)
            self._ready = self._decode(block, not block).encode("utf-8")
            if not block:
                break
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def _decompressed(file: DataFile) -> BinaryIO:
    import bz2
    import gzip

    match file.path.suffix.lower():
        case ".gz":
            return io.BufferedReader(gzip.open(file.path, "rb"))
        case ".bz2":
            return io.BufferedReader(bz2.open(file.path, "rb"))
        case ".zst":
            import pyarrow as pa

            return io.BufferedReader(pa.input_stream(str(file.path), compression="zstd"))
    return file.path.open("rb")


def unreadable(file: DataFile, error: Exception) -> NoReturn:
    reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
    fail("unreadable-file", f"{file.name} cannot be read: {reason}", exit_code=1)


def line_blocks(file: DataFile, encoding: str, size: int = _BLOCK) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about `size` bytes at a time, each block with the number of its first line (from 1)."""
    number, rest = 1, b""
    with open_bytes(file, encoding) as stream:
        while True:
            try:
                block = stream.read(size)
            except (OSError, EOFError, UnicodeError) as error:
                unreadable(file, error)
            if not block:
                break
            cut = block.rfind(b"\n") + 1
            if cut == 0:
                rest += block
                continue
            lines, rest = rest + block[:cut], block[cut:]
            yield number, lines
            number += lines.count(b"\n")
    if rest:
        yield number, rest
