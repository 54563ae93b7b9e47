"""Fingerprints: SHA-256 of bytes, or of a value written as canonical JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=True).encode


def canonical(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces. Raises TypeError on what JSON cannot hold."""
    return _encode(value)


def of_text(text: str) -> str:
    """Fingerprint of a text: 32 hexadecimal digits (128 bits of SHA-256)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def of_value(value: Any) -> str:
    """Fingerprint of a JSON value."""
    return of_text(_encode(value))


def of_members(members: Iterable[tuple[str, str]]) -> str:
    """Fingerprint of a folder: its relative file names with the fingerprints of their bytes, sorted."""
    return of_text("\n".join(f"{digest} {name}" for name, digest in sorted(members)))
