"""Files from addresses (`https://`, `s3://`, `gs://`): fetched once a job, then read as the files that they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from dreammake.core.diagnostic import fail, first_line
from dreammake.core.secrets import SECRETS
from dreammake.core.step import Work
from dreammake.steps._files import DataFile, format_of, is_pattern
from dreammake.steps._sources import without_password


def fetched(source: str, format: str | None, work: Work) -> list[DataFile]:
    """The files behind an address, or a glob of a bucket, each in a folder of the job.

    Raises DreamError where one cannot be fetched, or none matches.
    """
    several = is_pattern(source) and not source.startswith("http")
    try:
        import fsspec

        files = [_copied(one, work.folder()) for one in fsspec.open_files(source, "rb", expand=several)]
    except ImportError as error:
        _missing(source, error)
    except Exception as error:  # each filesystem of fsspec raises errors of its own
        _gone(source, error)
    if not files:
        fail("no-such-file", f"no file matches {without_password(source)}", exit_code=1)
    names = [without_password(name if several else source) for name, _ in files]
    return [DataFile(name, path, format or format_at(name)) for name, (_, path) in zip(names, files, strict=True)]


def format_at(source: str) -> str:
    """The format that the end of an address tells. Raises DreamError `unknown-format`."""
    return format_of(without_password(source).partition("?")[0])


def _copied(file: Any, folder: Path) -> tuple[str, Path]:
    """The name of an opened file as an address, and a copy of it."""
    place = folder / (Path(urlsplit(file.path).path).name or "data")
    with file as there, place.open("wb") as here:
        shutil.copyfileobj(there, here, 1 << 20)
    return file.full_name, place


def _missing(source: str, error: ImportError) -> NoReturn:
    fail(
        "missing-package",
        f"{without_password(source)} cannot be fetched: {first_line(error)}",
        hint="pip install fsspec, and for s3:// s3fs, for gs:// gcsfs",
        exit_code=1,
    )


def _gone(source: str, error: Exception) -> NoReturn:
    fail(
        "unreachable-source",
        f"{without_password(source)} cannot be fetched: {_reason(error)}",
        hint="look whether the address is right, and whether it asks for a login",
        exit_code=1,
    )


def _reason(error: Exception) -> str:
    """Over HTTP fsspec says of all that goes wrong that there is no such file, and only the cause tells what it was."""
    cause = error.__cause__ or error
    status: Any = getattr(cause, "status", None)
    if status == 404 or (status is None and cause is error and isinstance(error, FileNotFoundError)):
        return "there is no such file"
    if status is not None:
        return f"the server answers {status}"
    if isinstance(error, FileNotFoundError):
        return "no server answers there"
    return (SECRETS.hide(str(error)).strip().splitlines() or [type(error).__name__])[0]
