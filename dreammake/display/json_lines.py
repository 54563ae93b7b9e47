"""One JSON document a line, for programs: `{"version": 1, "event": "job-started", "target": ...}`."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TextIO

from dreammake.core.diagnostic import Diagnostic
from dreammake.core.events import Event
from dreammake.core.span import Span
from dreammake.display.stream import QuietStream

VERSION = 1
"""Raised when a field changes its meaning or goes; new fields and new events may come without."""


class JsonLinesDisplay:
    """Writes every event as it happens; nothing else goes to the stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = QuietStream(stream)

    def event(self, event: Event) -> None:
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", type(event).__name__).lower()
        values = {field.name: getattr(event, field.name) for field in fields(event)}
        self._stream.line(document({"event": name, **values}))

    def tick(self) -> None:
        """Time is no event."""

    def close(self) -> None:
        """There is nothing to put back."""


def document(values: Mapping[str, Any]) -> str:
    """A JSON document on one line, ASCII only, its `version` first."""
    return json.dumps(to_json({"version": VERSION, **values}), allow_nan=False)


def to_json(value: Any) -> Any:
    """A value of an event as plain JSON: numbers that it lacks become null, bytes Base64, unknown kinds their text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Diagnostic():
            return diagnostic_to_json(value)
        case Mapping():
            return {str(key): to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
        case bytes():
            return base64.b64encode(value).decode("ascii")
    return str(value)


def diagnostic_to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic with its places in numbers; lines and columns count from 1, the end is behind the last character."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "place": _place(diagnostic.span),
        "label": diagnostic.label,
        "hint": diagnostic.hint,
        "notes": [{"message": note.message, "place": _place(note.span)} for note in diagnostic.notes],
    }


def _place(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    line, column = span.source.place(span.start)
    end_line, end_column = span.source.place(max(span.start, span.end))
    return {"path": span.path, "line": line, "column": column, "end_line": end_line, "end_column": end_column}
