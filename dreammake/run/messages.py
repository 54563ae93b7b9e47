"""Diagnostics as JSON, between a worker and its build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.core.diagnostic import Diagnostic, Note


def diagnostic_to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic without its spans: a worker has no source to point into."""
    return {
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "notes": [note.message for note in diagnostic.notes],
    }


def diagnostic_from_json(data: Mapping[str, Any], **place: Any) -> Diagnostic:
    notes = tuple(Note(message) for message in data.get("notes", ()))
    return Diagnostic(data["code"], data["message"], hint=data.get("hint", ""), notes=notes, **place)
