from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.lang.syntax import FormatText, Text
from tests.lang.reading import expression, file


def text(source: str) -> Text:
    found = expression(source)
    assert isinstance(found, Text)
    return found


def check_origins(found: Text) -> None:
    """Every character of a value that was written plainly comes from the same character of the source."""
    source = found.span.source.text
    for at, character in enumerate(found.value):
        place = found.place(at, at + 1)
        if source[place.start] != "\\":
            assert source[place.start] == character, (at, found.value)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('""', ""),
        ("'a\"b'", 'a"b'),
        ('"""one"""', "one"),
        ('"""  one  """', "one"),
        ('"""\n    one\n      two\n\n    three\n    """', "one\n  two\n\nthree"),
        ('"""first\n    second\n      third"""', "first\nsecond\n  third"),
        ('"""\n   \n    one\n   \n    """', "one"),
        ('"""\r\n    one\r\n    two\r\n"""', "one\ntwo"),
        ('"""\n    one\\n    """', "one\n"),
        ('"""\n    one \\\n    two\n"""', "one two"),
        ('r"""\n  \\d\n    \\w\n"""', "\\d\n  \\w"),
        (r'"\x41\u00e9\N{BULLET}\101\q\\"', "Aé•A\\q\\"),
        (r'r"\n"', "\\n"),
        ('"""\n\tone\n\t  two\n"""', "one\n  two"),
        ('"a" \n', "a"),
    ],
)
def test_what_a_text_says(source: str, value: str) -> None:
    found = text(source)
    assert found.value == value
    check_origins(found)


def test_places_in_a_dedented_text() -> None:
    source = 'rule a:\n    prompt: """\n        Given \\n the\n\n          abstract, {{ x }}\n        """\n'
    (found,) = file(source).blocks[0].blocks[0].values
    assert isinstance(found, Text)
    check_origins(found)
    at = found.value.index("abstract")
    assert found.place(at, at + 8).text == "abstract"
    assert found.place(at, at + 8).line == 5
    at = found.value.index("{{ x }}")
    assert found.place(at, at + 7).text == "{{ x }}"
    assert found.place(6, 7).text == "\\"


@pytest.mark.filterwarnings("ignore:invalid escape")
@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab \n\t\\\"'x41{}ué"), max_size=30), st.sampled_from(['"', "'", '"""', "'''"]))
def test_texts_are_read_as_python_reads_them(body: str, quote: str) -> None:
    source = f"{quote}{body}{quote}"
    try:
        theirs = ast.literal_eval(source)
        ours = expression(source)
    except Exception:
        return
    if not isinstance(theirs, str) or not isinstance(ours, Text):
        return
    check_origins(ours)
    if not source.startswith(quote[0] * 3):  # three quotes may also come of one quote and a text
        assert ours.value == theirs
    else:
        assert "".join(ours.value.split()) == "".join(theirs.split())


def test_an_f_string_is_dedented_before_it_is_filled() -> None:
    found = expression('f"""\n    a {x}\n      b {{y}}\n    """')
    assert isinstance(found, FormatText)
    first, hole, last = found.parts
    assert isinstance(first, Text) and isinstance(last, Text)
    assert (first.value, last.value) == ("a ", "\n  b {y}")
    assert hole.span.text == "{x}"
    check_origins(last)


def test_holes_may_hold_strings_brackets_and_nothing_else_ends_them() -> None:
    found = expression("""f"{d['}']}{[1, {'a': 2}][0]:>{w}}{a != b}{a <= b}" """)
    assert isinstance(found, FormatText)
    assert [part.value.span.text for part in found.parts] == ["d['}']", "[1, {'a': 2}][0]", "a != b", "a <= b"]  # type: ignore[union-attr]
