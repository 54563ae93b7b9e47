"""The parts of a card that are written by small functions."""

from __future__ import annotations

import pytest

from dreammake.core.secrets import Secrets
from dreammake.hub.card_metadata import size_category
from dreammake.hub.markdown import cell, code, fenced, listed, table


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (1_000_000, "1M<n<10M"),
        (999_999_999, "100M<n<1B"),
        (10**9, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_size_categories(rows: int, words: str) -> None:
    assert size_category(rows) == words


def test_a_fence_is_longer_than_any_in_its_text() -> None:
    assert fenced("a") == "```\na\n```"
    assert fenced("x\n````\ny", "json") == "`````json\nx\n````\ny\n`````"


def test_a_table() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_pieces_of_markdown() -> None:
    assert (code("a"), code("a`b"), code("`a`"), code({"n": 1})) == ("`a`", "``a`b``", "`` `a` ``", '`{"n": 1}`')
    assert [listed("abc"[:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert cell("a | b\nc") == "a \\| b c"


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("http://me:pass@host/v1", "http://…@host/v1"),
        ("see https://host/?a=1&api_key=abc&b=2.", "see https://host/?a=1&api_key=…&b=2."),
        ("https://host/?token=abc", "https://host/?token=…"),
        ("https://me@host/ and me:you@host", "https://me@host/ and me:you@host"),
        ("key=abc", "key=abc"),
    ],
)
def test_addresses_tell_no_credentials(text: str, public: str) -> None:
    assert Secrets().hide(text) == public
