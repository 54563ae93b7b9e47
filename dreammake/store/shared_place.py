"""A place for files that several projects and machines share: a folder, or whatever fsspec opens (`s3://bucket/path`).

A file there is whole or absent, and never changes: its name says what it holds.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path
from typing import Any, Protocol

from dreammake.core.diagnostic import fail


class SharedPlace(Protocol):
    """Names are relative, with `/`. Everything may raise OSError, and what the library of a bucket raises."""

    def get(self, name: str, into: Path) -> bool:
        """Copy a file here. False where there is none."""

    def put(self, file: Path, name: str) -> None:
        """Copy a file there, unless it is there already."""

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted."""


def open_place(url: str) -> SharedPlace:
    """The place that a path or URL names. Raises DreamError `missing-package`, `bad-arguments`."""
    if "://" not in url:
        return FolderPlace(Path(url))
    if url.startswith("file://"):
        return FolderPlace(Path(url.removeprefix("file://")))
    try:
        from fsspec.core import url_to_fs

        return BucketPlace(*url_to_fs(url))
    except ImportError as error:
        asked = re.search(r"[Ii]nstall (\w+)", str(error))  # as fsspec says it: "Install s3fs to access S3"
        package = asked[1] if asked else error.name or "fsspec"
        message = f"a cache at {url.partition('://')[0]}:// needs a package that is not installed"
        fail("missing-package", message, hint=f"pip install {package}")
    except ValueError as error:
        fail("bad-arguments", f"--cache-url names no place: {error}", hint="write a folder, or s3://bucket/path")


class FolderPlace:
    """A folder on a disk that all can reach."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str, into: Path) -> bool:
        try:
            shutil.copyfile(self._folder / name, into)
        except FileNotFoundError:
            return False
        return True

    def put(self, file: Path, name: str) -> None:
        place = self._folder / name
        if place.exists():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
        try:
            shutil.copyfile(file, part)
            os.replace(part, place)
        finally:
            part.unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder / folder) if not name.startswith("."))
        except FileNotFoundError:
            return []


class BucketPlace:
    """A path in a file system of fsspec's; a file appears in a bucket when all of it is there."""

    def __init__(self, system: Any, path: str) -> None:
        self._system = system
        self._path = path.rstrip("/")

    def get(self, name: str, into: Path) -> bool:
        try:
            self._system.get_file(f"{self._path}/{name}", str(into))
        except FileNotFoundError:
            into.unlink(missing_ok=True)
            return False
        return True

    def put(self, file: Path, name: str) -> None:
        place = f"{self._path}/{name}"
        if not self._system.exists(place):
            self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._system.put_file(str(file), place)

    def names(self, folder: str) -> list[str]:
        try:
            found = self._system.ls(f"{self._path}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)
