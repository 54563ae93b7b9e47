"""Only a build fetches what lies elsewhere: a dry run, `why`, `lint`, `trace` and `cache gc` do without."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project

DREAMFILE = """
    model teacher: "a table of answers"
        engine: "scripted"
        default: "A city."

    rule all:
        output: "data/cities"
        load: "{address}/cities.csv"
        take: 1
        prompt answer:
            model: teacher
            prompt: "What is {{{{ name }}}}?"
"""


@pytest.fixture
def fetched() -> Iterator[list[str]]:
    """What was fetched from a server on loopback; the first item is its address."""
    found: list[str] = []

    class Cities(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.append(self.path)
            text = b"name\nOslo\nBergen\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_HEAD = do_GET

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cities) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.append(f"http://127.0.0.1:{server.server_address[1]}")
        yield found
        server.shutdown()


def test_an_address_is_fetched_by_the_build_alone(tmp_path: Path, fetched: list[str]) -> None:
    [address] = fetched
    project = Project(tmp_path).write(DREAMFILE.format(address=address))
    summary = project.ok("--dry-run", "--json").document["summary"]
    assert summary["prompts_to_run"] == 1, "as many as `take` leaves, and at most"
    project.ok("lint")
    project.ok("why", "data/cities")
    assert fetched == [address]
    project.ok("all")
    by_the_build = len(fetched)
    assert by_the_build > 1
    project.ok("trace", "data/cities", "--row", "0")
    project.ok("cache", "gc", "-n")
    assert len(fetched) == by_the_build
    assert project.rows("data/cities") == [{"name": "Oslo", "answer": "A city."}]
