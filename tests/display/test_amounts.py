from __future__ import annotations

import pytest

from dreammake.display.amounts import count, dollars, duration, rate, short, size, tokens


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "prompt", "1 prompt"),
        (0, "prompt", "0 prompts"),
        (1000, "prompt", "1,000 prompts"),
        (2, "batch", "2 batches"),
        (2, "retry", "2 retries"),
        (2, "key", "2 keys"),
    ],
)
def test_counts(number: int, noun: str, words: str) -> None:
    assert count(number, noun) == words


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (950, "950"),
        (999.6, "1k"),
        (1234, "1.2k"),
        (9960, "10k"),
        (310_000, "310k"),
        (999_600, "1M"),
        (4_500_000, "4.5M"),
        (2e9, "2B"),
        (5e12, "5,000B"),
    ],
)
def test_short_numbers(number: float, text: str) -> None:
    assert short(number) == text


def test_tokens() -> None:
    assert tokens(310_000, about=True) == "~310k tokens"
    assert tokens(1) == "1 token"


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0.00"), (0.004, "<$0.01"), (0.005, "$0.01"), (0.42, "$0.42"), (12.5, "$12.50"), (1234.4, "$1,234")],
)
def test_dollars(amount: float, text: str) -> None:
    assert dollars(amount) == text


def test_about_dollars() -> None:
    assert dollars(0.42, about=True) == "~$0.42"
    assert dollars(0.0001, about=True) == "<$0.01"


@pytest.mark.parametrize(
    ("seconds", "exact", "about"),
    [
        (0.04, "40 ms", "~1 s"),
        (0.0999, "0.1 s", "~1 s"),
        (4.2, "4.2 s", "~4 s"),
        (59.97, "1 min", "~1 min"),
        (200, "3 min 20 s", "~3 min"),
        (3599.8, "1 h", "~1 h"),
        (7500, "2 h 5 min", "~2 h"),
        (86399.9, "1 d", "~1 d"),
        (270_000, "3 d 3 h", "~3 d"),
        (float("inf"), "unknown", "unknown"),
    ],
)
def test_durations(seconds: float, exact: str, about: str) -> None:
    assert duration(seconds) == exact
    assert duration(seconds, about=True) == about


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1_300_000, "1.3 MB"),
        (98_000_000, "98 MB"),
        (999_600, "1 MB"),
        (5 * 10**15, "5,000 TB"),
    ],
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("speed", "text"), [(38.2, "38 rows/s"), (1234, "1.2k rows/s"), (0.42, "0.4 rows/s"), (0.05, "3 rows/min")]
)
def test_rates(speed: float, text: str) -> None:
    assert rate(speed, "rows") == text
