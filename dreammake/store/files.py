"""Files and folders by what they hold, and by the stat that tells whether they may have changed."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR as is_folder

from dreammake.core import fingerprint
from dreammake.core.diagnostic import fail

CARD = "dreammake.json"
"""The card that a build writes beside a target's files; it is about the content, and no part of it."""
ERRORS = "errors.jsonl"
"""The rows without a result, beside the files of a dataset (`store.error_table`)."""


def fingerprint_path(path: str | Path) -> str:
    """The fingerprint of what a file or a folder holds: names inside and bytes, never times, owners or modes.

    In a folder, its card, and the state.json and the errors.jsonl of a dataset count for nothing. Symbolic links are
    followed. Raises DreamError `no-such-file`, `unreadable-file`.
    """
    path = str(path)
    try:
        if not os.path.isdir(path):
            return _of_file(path)
        names = members(path)
        return fingerprint.of_members((name, _of_file(os.path.join(path, name))) for name in _content(names))
    except FileNotFoundError as error:
        fail("no-such-file", f"{error.filename} does not exist")
    except OSError as error:
        fail("unreadable-file", f"{error.filename or path} cannot be read: {error.strerror or error}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write a file in this block. Raises DreamError `disk-full`, `unwritable-file` where the system refuses."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fail("disk-full", "the disk is full", hint="free some space, and run the same command again", exit_code=1)
        why = os.strerror(error.errno) if error.errno else error
        hint = "choose another place, or see who may write there"
        fail("unwritable-file", f"{path.name} cannot be written: {why}", hint=hint, exit_code=1)


def signature(path: str | Path) -> str | None:
    """Size, times and inode of a file, or of every file in a folder: while it stays the same, so does the content.
    None where there is nothing."""
    path = str(path)
    try:
        stat = os.stat(path)
        if not is_folder(stat.st_mode):
            return _of_stat(stat)
        return fingerprint.of_members((name, _of_stat(os.stat(os.path.join(path, name)))) for name in members(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        fail("unreadable-file", f"{error.filename or path} cannot be read: {error.strerror or error}")


def members(folder: str | Path) -> list[str]:
    """The files under a folder as sorted relative names with `/`. A link to a folder above it is not followed twice."""
    found: list[str] = []
    _gather(str(folder), "", frozenset(), found)
    return sorted(found)


def _content(names: list[str]) -> list[str]:
    """Without the card, and without the state.json and the error table that stand beside a dataset_info.json."""
    beside = [name.removesuffix("dataset_info.json") for name in names if _is_info(name)]
    about = {CARD, *(folder + name for folder in beside for name in ("state.json", ERRORS))}
    return [name for name in names if name not in about]


def _is_info(name: str) -> bool:
    return name == "dataset_info.json" or name.endswith("/dataset_info.json")


def _gather(folder: str, prefix: str, above: frozenset[tuple[int, int]], found: list[str]) -> None:
    stat = os.stat(folder)
    here = stat.st_dev, stat.st_ino
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                _gather(entry.path, f"{prefix}{entry.name}/", above | {here}, found)
            else:
                found.append(prefix + entry.name)


def _of_file(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _of_stat(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}"
