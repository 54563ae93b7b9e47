from __future__ import annotations

import io
from collections.abc import Mapping

import pytest

from dreammake.display.style import Style, wants_colour
from tests.display.terminal import Terminal


@pytest.mark.parametrize(
    ("environment", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
    ],
)
def test_who_gets_colour(environment: Mapping[str, str], terminal: bool, pipe: bool) -> None:
    assert wants_colour(Terminal(80, 24), environment) is terminal  # type: ignore[arg-type]
    assert wants_colour(io.StringIO(), environment) is pipe


def test_paint() -> None:
    assert Style(True).paint("x", "bold", "red") == "\x1b[1;31mx\x1b[0m"
    assert Style(True).paint("", "bold") == ""
    assert Style(False).paint("x", "bold") == "x"
