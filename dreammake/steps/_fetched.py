"""Files from addresses (`https://`, `s3://`, `gs://`): fetched once a job, then read as the files that they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from dreammake.core.diagnostic import fail
from dreammake.core.step import Work
from dreammake.steps._files import DataFile, format_of
from dreammake.steps._sources import without_password


def fetched(source: str, format: str | None, work: Work) -> DataFile:
    """The file behind an address, in a folder of the job. Raises DreamError where it cannot be fetched."""
    name = Path(urlsplit(source).path).name or "data"
    kind = format or format_of(name)
    place = work.folder() / name
    try:
        import fsspec

        with fsspec.open(source, "rb") as there, place.open("wb") as here:
            shutil.copyfileobj(there, here, 1 << 20)
    except ImportError as error:
        _missing(source, error)
    except Exception as error:  # each filesystem of fsspec raises errors of its own
        _gone(source, error)
    return DataFile(without_password(source), place, kind)


def _missing(source: str, error: ImportError) -> NoReturn:
    fail(
        "missing-package",
        f"{without_password(source)} cannot be fetched: {str(error).splitlines()[0]}",
        hint="pip install fsspec, and for s3:// s3fs, for gs:// gcsfs",
        exit_code=1,
    )


def _gone(source: str, error: Exception) -> NoReturn:
    status: Any = getattr(error, "status", None)
    reason = (
        f"the server answers {status}" if status else (str(error).strip().splitlines() or [type(error).__name__])[0]
    )
    if isinstance(error, FileNotFoundError):
        reason = "there is no such file"
    fail(
        "unreachable-source",
        f"{without_password(source)} cannot be fetched: {reason}",
        hint="look whether the address is right, and whether it asks for a login",
        exit_code=1,
    )
