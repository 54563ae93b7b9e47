"""Archives: a zstd-compressed tar whose first member, `manifest.json`, names all the others with size and SHA-256.

    {"version": 1, "kind": "bundle", "members": [["project/Dreamfile", 812, "9f86d08..."], ...], "about": {...}}

Writing is deterministic: equal members give equal bytes. Reading takes nothing on trust: members come in the order of
the manifest, of its sizes and digests, as plain files under plain relative names; anything else refuses the whole.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from dreammake.core.diagnostic import fail
from dreammake.store.files import writing

MANIFEST = "manifest.json"
VERSION = 1
MANIFEST_BYTES = 1 << 28
"""A manifest is no larger: about two million members."""
_CHUNK = 1 << 20
_SLACK = 4 << 20
"""Bytes that the headers between two members may take, and what is read ahead."""
_FOREIGN = {".git", ".hg", ".svn"}
"""Folders whose files other programs run."""

Look = Callable[[str, bytes], None]
"""Is shown each member's bytes, in pieces that overlap."""
OVERLAP = 4096


def write_archive(
    file: Path,
    kind: str,
    about: Mapping[str, Any],
    members: Mapping[str, Path],
    look: Look = lambda name, piece: None,
) -> int:
    """Write an archive of files, whole or not at all; gives its size in bytes. Raises what `look` raises, and
    DreamError `file-changed` where a file changes meanwhile, `disk-full`, `unwritable-file`."""
    import pyarrow as pa

    order = sorted(members)
    digests = {name: _digest(name, members[name], look) for name in order}
    listed = [[name, *digests[name]] for name in order]
    manifest = {"version": VERSION, "kind": kind, "members": listed, "about": about}
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=1).encode("utf-8", "surrogatepass")
    look(MANIFEST, text)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with writing(file):
        try:
            with (
                pa.OSFile(str(part), "wb") as sink,
                pa.CompressedOutputStream(sink, "zstd") as stream,
                tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                tar.addfile(_plain(MANIFEST, len(text)), io.BytesIO(text))
                for name in order:
                    _add(tar, name, members[name], *digests[name])
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)
    return file.stat().st_size


def read_manifest(file: Path, kind: str) -> dict[str, Any]:
    """What an archive says of itself. Raises DreamError `bad-bundle`."""
    with _opened(file) as (tar, source):
        return _manifest(tar, source, file, kind)


def unpack(file: Path, kind: str, folder: Path) -> dict[str, Any]:
    """Unpack an archive into a new folder, every member verified; gives its manifest. Raises DreamError `bad-bundle`,
    `disk-full`; then the folder is to be thrown away."""
    with _opened(file) as (tar, source):
        manifest = _manifest(tar, source, file, kind)
        needed = sum(size for _, size, _ in manifest["members"])
        if needed > shutil.disk_usage(folder.parent).free:
            fail("disk-full", f"{file.name} holds {needed:,} bytes, and there is less room", exit_code=1)
        folder.mkdir()
        for name, size, digest in manifest["members"]:
            source.allow(size)
            _extract(tar, name, size, digest, folder / name, file)
        source.allow(0)
        if tar.next() is not None:
            _bad(file, "it holds more than its manifest names")
        return manifest


def check_name(name: Any) -> str:
    """A member's name: a plain relative path. Raises ValueError."""
    if not isinstance(name, str) or not 0 < len(name) <= 4096:
        raise ValueError("it holds a file without a usable name")
    parts = name.split("/")
    odd = any(part in ("", ".", "..") or len(part.encode()) > 255 or part.lower() in _FOREIGN for part in parts)
    if odd or "\\" in name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise ValueError(f"it holds a file named {name!r}")
    return name


def _plain(name: str, size: int) -> tarfile.TarInfo:
    """A header that says nothing of who wrote it, where, or when."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o644
    return header


def _digest(name: str, path: Path, look: Look) -> tuple[int, str]:
    digest, size, tail = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            size += len(piece)
            look(name, tail + piece)
            tail = piece[-OVERLAP:]
    return size, digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, path: Path, size: int, digest: str) -> None:
    check = hashlib.sha256()

    class Checked(io.RawIOBase):
        """What is read of the file is what was looked at."""

        def read(self, count: int = -1) -> bytes:
            piece = file.read(count)
            check.update(piece)
            return piece

    with path.open("rb") as file:
        short = False
        try:
            tar.addfile(_plain(name, size), Checked())
        except OSError as error:
            if error.errno is not None:
                raise
            short = True
    if short or check.hexdigest() != digest:
        fail("file-changed", f"{path.name} changed while it was read", hint="run the same command again", exit_code=1)


class _Source(io.RawIOBase):
    """The tar behind the compression. Nobody reads further than `allow` says, whatever a header claims."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._at = 0
        self._end = _SLACK

    def allow(self, size: int) -> None:
        self._end = self._at + size + _SLACK

    def read(self, count: int = -1) -> bytes:
        piece: bytes = self._stream.read(count)
        self._at += len(piece)
        if self._at > self._end:
            raise ValueError("its headers are larger than they should be")
        return piece


@contextmanager
def _opened(file: Path) -> Iterator[tuple[tarfile.TarFile, _Source]]:
    """The archive, opened; whatever is wrong with it becomes a DreamError."""
    import pyarrow as pa

    try:
        with pa.OSFile(str(file), "rb") as raw, pa.CompressedInputStream(raw, "zstd") as stream:
            source = _Source(stream)
            with tarfile.open(fileobj=source, mode="r|", bufsize=_CHUNK) as tar:
                yield tar, source
    except FileNotFoundError:
        fail("no-such-file", f"there is no file {file}", hint="check the path")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fail("disk-full", "the disk is full", hint="free some space, and run the same command again", exit_code=1)
        if error.errno is not None:
            raise
        _bad(file, "it is damaged, or no archive of dreammake's")
    except (tarfile.TarError, EOFError, RecursionError, UnicodeError, pa.ArrowException):
        _bad(file, "it is damaged, or no archive of dreammake's")
    except ValueError as error:
        _bad(file, str(error))


def _manifest(tar: tarfile.TarFile, source: _Source, file: Path, kind: str) -> dict[str, Any]:
    header = tar.next()
    if header is None or header.name != MANIFEST or not _is_plain(header) or header.size > MANIFEST_BYTES:
        _bad(file, "it does not begin with a manifest")
    source.allow(header.size)
    try:
        manifest = json.loads(_stream_of(tar, header).read())
        found, version, members = manifest["kind"], manifest["version"], manifest["members"]
        manifest["about"].items()
        named = [(check_name(name), int(size), str(digest)) for name, size, digest in members]
    except (KeyError, TypeError, AttributeError):
        _bad(file, "its manifest is none")
    except json.JSONDecodeError:
        _bad(file, "its manifest is no JSON")
    if found != kind:
        _bad(file, f"it is a {found}, and no {kind}")
    if version != VERSION:
        _bad(file, f"it is of version {version}, and this dreammake reads version {VERSION}")
    names = {name for name, _, _ in named}
    above = {name[:at] for name in names for at, letter in enumerate(name) if letter == "/"}
    if len(names) < len(named) or names & above or any(size < 0 for _, size, _ in named):
        _bad(file, "its manifest names a file twice")
    return {**manifest, "members": named}


def _extract(tar: tarfile.TarFile, name: str, size: int, digest: str, place: Path, file: Path) -> None:
    header = tar.next()
    if header is None or header.name != name or header.size != size or not _is_plain(header):
        _bad(file, f"{name} is not what its manifest says")
    place.parent.mkdir(parents=True, exist_ok=True)
    check = hashlib.sha256()
    stream = _stream_of(tar, header)
    with place.open("xb") as made:
        while piece := stream.read(_CHUNK):
            check.update(piece)
            made.write(piece)
    if check.hexdigest() != digest:
        _bad(file, f"{name} is not what its manifest says")


def _stream_of(tar: tarfile.TarFile, header: tarfile.TarInfo) -> Any:
    stream = tar.extractfile(header)
    assert stream is not None
    return stream


def _is_plain(header: tarfile.TarInfo) -> bool:
    """No link, no device, no folder, nothing sparse."""
    return header.type in (tarfile.REGTYPE, tarfile.AREGTYPE)


def _bad(file: Path, how: str) -> NoReturn:
    fail("bad-bundle", f"{file.name} cannot be used: {how}", hint="ask for the file anew", exit_code=1)
