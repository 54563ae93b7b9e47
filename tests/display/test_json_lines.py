from __future__ import annotations

import io
import json

from dreammake.core.diagnostic import Diagnostic, Note
from dreammake.core.events import JobFinished, JobProgress
from dreammake.core.span import Source, Span
from dreammake.display.json_lines import JsonLinesDisplay, diagnostic_to_json
from tests.display.build import EVENTS


def written(*events: object) -> list[dict[str, object]]:
    out = io.StringIO()
    display = JsonLinesDisplay(out)
    for event in events:
        display.event(event)  # type: ignore[arg-type]
        display.tick()
    display.close()
    assert out.getvalue().isascii()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_event_is_one_document() -> None:
    documents = written(*EVENTS)
    assert [document["event"] for document in documents] == [
        "build-started",
        "job-started",
        "job-started",
        "job-progress",
        "job-progress",
        "job-finished",
        "graph-grew",
        "job-failed",
        "job-started",
        "job-failed",
        "job-finished",
        "job-fresh",
        "build-finished",
    ]
    assert all(list(document)[:2] == ["version", "event"] and document["version"] == 1 for document in documents)
    assert documents[0] == {"version": 1, "event": "build-started", "build": 3, "follow": 1, "fresh": 41}


def test_what_json_lacks() -> None:
    progress, finished = written(
        JobProgress("日本", 1, measures={"loss": float("nan"), "reward": 1.5}),
        JobFinished("a", 1.0, True, {"path": Source("x", "").__class__, "list": (1, float("inf")), "bad": "\ud800"}),
    )
    assert progress["measures"] == {"loss": None, "reward": 1.5}
    assert finished["facts"]["list"] == [1, None]  # type: ignore[index]


def test_diagnostics_have_places() -> None:
    source = Source("Dreamfile", "one\ntwo three\n")
    diagnostic = Diagnostic("a-code", "wrong", Span(source, 8, 13), "l", "h", (Note("n"),))
    assert diagnostic_to_json(diagnostic) == {
        "code": "a-code",
        "severity": "error",
        "message": "wrong",
        "place": {"path": "Dreamfile", "line": 2, "column": 5, "end_line": 2, "end_column": 10},
        "label": "l",
        "hint": "h",
        "notes": [{"message": "n", "place": None}],
    }
