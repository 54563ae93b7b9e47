"""Golden files: inputs separated by `---`; `### code: words` stands on the line of each expected error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lang.reading import file, wrong

ERRORS = Path(__file__).parent / "errors"
MARK = re.compile(r"[ ]*### (?P<code>[a-z-]+): (?P<words>.*)")


def chunks() -> Iterator[object]:
    for path in sorted(ERRORS.glob("*.dream")):
        for number, chunk in enumerate(path.read_text(encoding="utf-8").split("---\n"), 1):
            yield pytest.param(chunk, id=f"{path.stem}-{number}")


@pytest.mark.parametrize("chunk", list(chunks()))
def test_each_mistake_is_named_at_its_line(chunk: str) -> None:
    expected = [
        (number, match["code"], match["words"])
        for number, line in enumerate(chunk.split("\n"), 1)
        if (match := MARK.search(line)) is not None
    ]
    text = MARK.sub("", chunk)
    found = [(d.span.line, d.code, d.message) for d in wrong(lambda: file(text)) if d.span is not None]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "underlined"),
    [
        ("rule a:\n    b: [1, 2\n", "["),
        ('rule a:\n    b: "open\n', '"'),
        ("rule a:\n    load: ./x/y.csv\n", "./x/y.csv"),
        ("rule a:\n    c: x.__class__\n", "__class__"),
        ('rule a:\n    c: "\\xzz"\n', "\\x"),
        ("model gpt-4o: 1\n", "gpt-4o"),
        ("rule a:\n\tb: 1\n", "\t"),
        ('rule a:\n    c: f"{x y}"\n', "y"),
        ('rule a:\n    c: f"{[1, 2)}"\n', ")"),
    ],
)
def test_the_narrowest_place_is_underlined(text: str, underlined: str) -> None:
    (found,) = wrong(lambda: file(text))
    assert found.span is not None and found.span.text == underlined


def test_a_closed_bracket_of_another_kind_shows_both() -> None:
    (found,) = wrong(lambda: file("rule a:\n    b: [1, (2]\n"))
    assert found.notes[0].span is not None
    assert (found.span.text, found.notes[0].span.text) == ("]", "(")  # type: ignore[union-attr]
