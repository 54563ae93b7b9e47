"""What kind of source the words after `load:` name: a file or folder of the project, a hub, a database, an address."""

from __future__ import annotations

import re
from typing import Literal

HUB = "hf://"
_ADDRESSES = ("http://", "https://", "s3://", "gs://", "gcs://", "az://", "abfs://", "ftp://", "memory://")
_SQLITE = "sqlite:///"
_SQLITE_ENDINGS = (".db", ".sqlite", ".sqlite3")

Kind = Literal["file", "hub", "sql", "address"]


def kind_of(source: str) -> Kind:
    """`sql` is a SQLite file by its ending, or a URL of SQLAlchemy's; an address is fetched as a file."""
    if source.startswith(HUB):
        return "hub"
    if source.startswith(_ADDRESSES):
        return "address"
    if "://" in source or source.lower().endswith(_SQLITE_ENDINGS):
        return "sql"
    return "file"


def local_path(source: str) -> str | None:
    """The path in the project whose content a source is; None where it lies elsewhere."""
    match kind_of(source):
        case "file":
            return source
        case "sql" if source.startswith(_SQLITE):
            return source.removeprefix(_SQLITE).partition("?")[0]
        case "sql" if "://" not in source:
            return source
    return None


def without_password(source: str) -> str:
    """A URL as it may be shown."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", source)
