from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreammake.core.diagnostic import Diagnostic, Note
from dreammake.core.span import Source, Span
from dreammake.display.cells import cells
from dreammake.display.excerpt import draw, draw_all


def span_of(text: str, part: str, path: str = "Dreamfile", after: str = "") -> Span:
    at = text.index(part, text.index(after))
    return Span(Source(path, text), at, at + len(part))


def drawn(diagnostic: Diagnostic, width: int = 100) -> str:
    return "\n" + draw(diagnostic, colour=False, width=width) + "\n"


def test_the_form_of_the_contract() -> None:
    text = "\n" * 26 + "            {{ abstrct }}\n"
    diagnostic = Diagnostic(
        "unknown-column",
        "the prompt reads `abstrct`, which data/abstracts does not have",
        span_of(text, "abstrct"),
        "columns here: abstract",
        "did you mean `abstract`?",
    )
    assert drawn(diagnostic) == textwrap.dedent("""
        error[unknown-column]: the prompt reads `abstrct`, which data/abstracts does not have
          --> Dreamfile:27:16
           |
        27 |             {{ abstrct }}
           |                ^^^^^^^ columns here: abstract
           |
        help: did you mean `abstract`?
        """)


def test_without_a_place() -> None:
    diagnostic = Diagnostic("no-dreamfile", "there is no Dreamfile here", hint="write one: `dreammake init`")
    assert drawn(diagnostic) == textwrap.dedent("""
        error[no-dreamfile]: there is no Dreamfile here
        help: write one: `dreammake init`
        """)


def test_a_warning_with_a_second_place() -> None:
    text = "rule a:\n    output: 'x'\n" + "\n" * 8 + "rule b:\n    output: 'x'\n"
    diagnostic = Diagnostic(
        "hidden-name",
        "two rules make x",
        span_of(text, "'x'", after="rule b"),
        notes=(Note("the other one is here", span_of(text, "'x'")), Note("a note without a place")),
        severity="warning",
    )
    assert drawn(diagnostic) == textwrap.dedent("""
        warning[hidden-name]: two rules make x
          --> Dreamfile:12:13
           |
        12 |     output: 'x'
           |             ^^^
        note: the other one is here
          --> Dreamfile:2:13
           |
         2 |     output: 'x'
           |             ^^^
        note: a note without a place
        """)


def test_a_span_over_lines_shows_its_first() -> None:
    text = 'prompt: """\n    one\n    two\n    """\n'
    diagnostic = Diagnostic("bad", "wrong", span_of(text, text[8:-1]), "this text")
    assert drawn(diagnostic).splitlines()[4:] == ['1 | prompt: """', "  |         ^^^… this text"]


def test_a_span_at_the_end_of_the_file() -> None:
    for text in ("rule a", "rule a\n", "", "\n"):
        source = Source("Dreamfile", text)
        lines = draw(Diagnostic("x", "y", Span(source, len(text), len(text))), colour=False, width=80).splitlines()
        assert lines[-1].endswith("^")


@pytest.mark.parametrize(
    ("line", "part", "marks"),
    [
        ("\ta\tb: c", "b", "        ^"),
        ("日本: 語x", "語", "      ^^"),
        ("e\u0301e\u0301 x", "x", "   ^"),
        ("👍🏽 👨‍👩‍👧 x", "x", "      ^"),
        ("\x1b[31m x", "x", "      ^"),
    ],
)
def test_marks_stand_below_their_signs(line: str, part: str, marks: str) -> None:
    shown = draw(Diagnostic("x", "y", span_of(line, part)), colour=False, width=80).splitlines()
    assert shown[-1] == f"  | {marks}"
    assert "\x1b" not in shown[-2]


def test_a_long_line_is_cut_around_the_span() -> None:
    line = "a" * 300 + "WRONG" + "b" * 300
    shown = draw(Diagnostic("x", "y", span_of(line, "WRONG"), "here"), colour=False, width=60).splitlines()
    source, under = shown[-2].removeprefix("1 | "), shown[-1].removeprefix("  | ")
    assert source.startswith("…a") and source.endswith("b…") and cells(source) <= 56
    assert source[under.index("^") : under.rindex("^") + 1] == "WRONG"


def test_a_long_label_goes_below() -> None:
    text = "x" * 40 + "WRONG"
    label = "columns here: " + ", ".join(f"column{n}" for n in range(9))
    shown = draw(Diagnostic("x", "y", span_of(text, "WRONG"), label), colour=False, width=60).splitlines()
    at = shown.index("  | " + " " * 40 + "^^^^^")
    assert " ".join(line.removeprefix("  | ").strip() for line in shown[at + 1 :]) == label
    assert all(cells(line) <= 60 for line in shown[1:])


def test_carriage_returns_are_line_ends() -> None:
    text = "rule a:\r\n  oops\r\n"
    shown = draw(Diagnostic("x", "y", span_of(text, "oops")), colour=False, width=80).splitlines()
    assert shown[-2:] == ["2 |   oops", "  |   ^^^^"]


def test_several_end_with_a_count() -> None:
    error = Diagnostic("a", "one")
    warning = Diagnostic("b", "two", severity="warning")
    assert draw_all([error], colour=False, width=80) == "error[a]: one"
    assert draw_all([error, warning, error], colour=False, width=80).endswith("\n\n2 errors, 1 warning")


def test_colours_change_no_text() -> None:
    diagnostic = Diagnostic(
        "a", "one", span_of("rule x", "x"), "label", "hint", (Note("n", span_of("rule x", "rule")),)
    )
    painted = draw(diagnostic, colour=True, width=80)
    assert "\x1b[1;31merror[a]" in painted
    import re

    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == draw(diagnostic, colour=False, width=80)


@given(st.text(max_size=80), st.data(), st.integers(1, 120))
def test_any_span_of_any_text_is_drawn(text: str, data: st.DataObject, width: int) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    diagnostic = Diagnostic("x", text, Span(Source("f", text), start, end), text, text)
    shown = draw(diagnostic, colour=False, width=width)
    assert "^" in shown
    assert all(line.isprintable() or not line.strip().isascii() for line in shown.split("\n"))


def test_errors_load_no_display_library() -> None:
    code = "import sys, dreammake.display.excerpt as e; sys.exit('rich' in sys.modules or 'json' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_note_of_several_lines_is_indented() -> None:
    diagnostic = Diagnostic("a", "one", notes=(Note("its last lines:\nfirst\n\tsecond\x1b"),))
    assert draw(diagnostic, colour=False, width=80).splitlines()[1:] == [
        "note: its last lines:",
        "  first",
        "      second␛",
    ]
