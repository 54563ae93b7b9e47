"""Words and n-grams as numbers, against the same in plain Python."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.steps._words import Grams, grams_of, short_grams, words_of

fast = settings(max_examples=60, deadline=None)
texts = st.lists(st.one_of(st.none(), st.text("ab cé,.!🦦\n", max_size=12)), max_size=8)


def plain_words(text: str | None) -> list[str]:
    kept = "".join(" " if sign in ",.!" else sign for sign in (text or "").lower())
    return kept.split()


def by_text(grams: Grams, count: int) -> list[list[int]]:
    found = defaultdict(list)
    for row, value in zip(grams.rows.tolist(), grams.hashes.tolist(), strict=True):
        found[row].append(value)
    return [found[row] for row in range(count)]


@fast
@given(texts=texts, n=st.integers(1, 4))
def test_n_grams_are_equal_where_their_words_are(texts: list[str | None], n: int) -> None:
    """The hashes stand for the n-grams, one to one."""
    words = words_of(texts)
    assert words.counts.tolist() == [len(plain_words(text)) for text in texts]
    names: dict[tuple[str, ...], int] = {}
    long, short = by_text(grams_of(words, n), len(texts)), by_text(short_grams(words, n), len(texts))
    for text, hashes, whole in zip(texts, long, short, strict=True):
        plain = plain_words(text)
        runs = [tuple(plain[at : at + n]) for at in range(len(plain) - n + 1)]
        assert len(hashes) == len(runs)
        assert len(whole) == (0 < len(plain) < n)
        for run, value in zip([*runs, *([tuple(plain)] if whole else [])], [*hashes, *whole], strict=True):
            assert names.setdefault(run, value) == value
    assert len(set(names.values())) == len(names)


def test_case_and_punctuation_do_not_matter_and_emoji_do() -> None:
    hashes = by_text(grams_of(words_of(["Hello, World!", "hello world", "hello 🦦", "hello 🐟"]), 2), 4)
    assert hashes[0] == hashes[1]
    assert hashes[2] != hashes[3]


def test_characters_are_words_of_their_own() -> None:
    words = words_of(["你好  吗", None, "🦦"], "characters")
    assert words.counts.tolist() == [4, 0, 1]
    assert words.hashes[0] != words.hashes[1]


def test_the_numbers_are_the_same_on_every_machine() -> None:
    assert words_of(["sea"]).hashes.tolist() == [17716460510745679345]
    assert grams_of(words_of(["the salt sea"]), 2).hashes.tolist() == [6214551528069641464, 15612433728661315871]
