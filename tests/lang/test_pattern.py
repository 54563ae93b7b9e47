from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.span import Source, Span
from dreammake.lang.pattern import parse_pattern
from dreammake.lang.syntax import Text
from tests.lang.reading import expression, wrong


def parts(source: str, declares: bool) -> list[object]:
    text = expression(source)
    assert isinstance(text, Text)
    found = parse_pattern(text, declares).parts
    return [
        part if isinstance(part, str) else (part.span.text, part.value.span.text, part.constraint) for part in found
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"data/x"', ["data/x"]),
        ('"a/{r:int}"', ["a/", ("{r:int}", "r", "int")]),
        ('"{lang:[a-z]{2}}/{x}"', [("{lang:[a-z]{2}}", "lang", "[a-z]{2}"), "/", ("{x}", "x", None)]),
        ('"{{a}}{ b }"', ["{a}", ("{ b }", "b", None)]),
        (r'"{r:\d+}"', [(r"{r:\d+}", "r", r"\d+")]),
        ('"{r:ab|c.*}"', [("{r:ab|c.*}", "r", "ab|c.*")]),
    ],
)
def test_outputs(source: str, found: list[object]) -> None:
    assert parts(source, declares=True) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"models/round{r - 1}"', ["models/round", ("{r - 1}", "r - 1", None)]),
        ("'{d[\"}\"]}x'", [('{d["}"]}', 'd["}"]', None), "x"]),
        ('"{r:int}"', [("{r:int}", "r", "int")]),
        ('"{a[1:2]}"', [("{a[1:2]}", "a[1:2]", None)]),
        (r'"\x41{b}"', ["A", ("{b}", "b", None)]),
    ],
)
def test_inputs(source: str, found: list[object]) -> None:
    assert parts(source, declares=False) == found


@pytest.mark.parametrize(
    ("source", "underlined"),
    [
        ('"a{"', "{"),
        ('"a}"', "}"),
        ('"a{}"', "{}"),
        ('"{a-b}"', "{a-b}"),
        ('"{a:}"', "{a:}"),
        ('"{a:[}"', "["),
        ('"{a:02d}"', "02d"),
        ('"{a:(b+)+}"', "(b+)+"),
        ('"{a:(b|c)*}"', "(b|c)*"),
        (r'"{a:(x)\\1}"', r"(x)\\1"),
        ('"{a:(?=x)}"', "(?=x)"),
        ('"{a:^x$}"', "^x$"),
        ('"{a:.*.*.*.*.*}"', ".*.*.*.*.*"),
        ('"{a:x{1,99999999999}}"', "x{1,99999999999}"),
    ],
)
def test_bad_outputs(source: str, underlined: str) -> None:
    (found,) = wrong(lambda: parts(source, declares=True))
    assert found.code == "bad-pattern" and found.span is not None
    assert found.span.text == underlined


def test_a_wrong_expression_in_an_input_is_underlined_in_the_file() -> None:
    (found,) = wrong(lambda: parts('"""\n   a/{r + y\n   z}\n"""', declares=False))
    assert found.span is not None and found.span.text == "z"


def test_a_computed_text_is_underlined_as_a_whole() -> None:
    span = Span(Source("Dreamfile", 'f"{x}/{{r"'), 0, 10)
    (found,) = wrong(lambda: parse_pattern(Text(span, "x/{r", ()), True))
    assert found.span == span
    (found,) = wrong(lambda: parse_pattern(Text(span, "x/{r + }", ()), False))
    assert found.span is not None and found.span.text in span.text


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab{}[]()*+?|\\:-,1 \"'"), max_size=20), st.booleans())
def test_any_text_is_a_pattern_or_a_clean_error(value: str, declares: bool) -> None:
    span = Span(Source("Dreamfile", "x"), 0, 1)
    try:
        parse_pattern(Text(span, value, ()), declares)
    except DreamError as error:
        assert all(found.span is not None for found in error.diagnostics)
