from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreammake.display.cells import cells, clusters, cut, pad, visible, wrap


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("日本", 4),
        ("e\u0301a", 2),
        ("👍🏽!", 3),
        ("👨‍👩‍👧", 2),
        ("❤\ufe0f", 2),
        ("🇩🇪🇫🇷", 4),
        ("한글", 4),
        ("", 0),
    ],
)
def test_signs_are_as_wide_as_on_a_terminal(text: str, width: int) -> None:
    assert cells(text) == width


def test_what_could_steer_a_terminal_is_shown() -> None:
    assert visible("a\x1b[2Jb") == "a␛[2Jb"
    assert visible("a\u202eb\x9b") == "a\\u202eb\\x9b"
    assert visible("日本 é\u0301 👨‍👩‍👧") == "日本 é\u0301 👨‍👩‍👧"
    assert visible("two\nlines\t") == "two\nlines\t"


@given(st.text())
def test_clusters_are_the_text(text: str) -> None:
    assert "".join(sign for sign, _ in clusters(text)) == text


@given(st.text(), st.integers(0, 40))
def test_cut_fits_and_says_so(text: str, width: int) -> None:
    text = text.replace("\n", " ")
    short = cut(text, width)
    assert cells(short) <= width
    assert short == text or short.endswith("…") or width == 0


@given(st.text(alphabet="ab 日\n", max_size=60), st.integers(2, 20))
def test_wrapped_lines_fit_and_lose_only_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_wrap_breaks_at_spaces_and_in_long_words() -> None:
    assert wrap("one two three", 8) == ["one two", "three"]
    assert wrap("abcdefgh ij", 3) == ["abc", "def", "gh", "ij"]
    assert wrap("日本語", 5) == ["日本", "語"]


def test_pad_counts_cells() -> None:
    assert pad("日", 4) == "日  "
    assert pad("日", 4, right=True) == "  日"
