"""Duplicates: exact, by MinHash and by vectors, each against the same in plain Python."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.values import RowExpression, Template
from dreammake.lang.syntax import Name
from dreammake.lang.tree_json import to_json
from dreammake.steps.dedup import Dedup
from tests.support.meanings import WORDS, MeaningWork
from tests.support.work import apply

fast = settings(max_examples=40, deadline=None)
Row = dict[str, Any]


@pytest.fixture
def work(tmp_path: Path) -> MeaningWork:
    return MeaningWork(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> MeaningWork:
    return MeaningWork(tmp_path_factory.mktemp("project"))


def column(name: str) -> RowExpression:
    from dreammake.core.span import Source, Span

    return RowExpression(to_json(Name(Span(Source("test", name), 0, len(name)), name)), name)


def in_batches(rows: list[Row], columns: tuple[str, ...], size: int) -> Rows:
    def batches() -> Any:
        for at in range(0, len(rows), size):
            yield from from_dicts(columns, rows[at : at + size]).batches()

    return Rows(columns, batches)


def texts_of(rows: list[Row]) -> list[Any]:
    return [row["text"] for row in rows]


rows_with_scores = st.lists(
    st.fixed_dictionaries(
        {"text": st.sampled_from([None, "a", "b", "", "🦦"]), "score": st.sampled_from([None, 1, 2, 3])}
    ),
    max_size=12,
)


@fast
@given(rows=rows_with_scores, size=st.integers(1, 5))
def test_the_first_of_equal_texts_stays(shared: MeaningWork, rows: list[Row], size: int) -> None:
    expected = [row for at, row in enumerate(rows) if row["text"] is None or row["text"] not in texts_of(rows[:at])]
    given = in_batches(rows, ("text", "score"), size)
    assert apply(Dedup, {"columns": ["text"]}, given, shared) == expected


@fast
@given(rows=rows_with_scores, size=st.integers(1, 5))
def test_the_best_of_equal_texts_stays(shared: MeaningWork, rows: list[Row], size: int) -> None:
    def better(at: int, row: Row) -> bool:
        mine = rows[at]["score"] or 0
        same = [other for other, one in enumerate(rows) if one["text"] == row["text"]]
        return all((mine, -at) >= (rows[other]["score"] or 0, -other) for other in same)

    expected = [row for at, row in enumerate(rows) if row["text"] is None or better(at, row)]
    given = in_batches(rows, ("text", "score"), size)
    assert apply(Dedup, {"columns": ["text"], "keep": column("score")}, given, shared) == expected


def test_all_columns_are_compared_where_none_is_named(work: MeaningWork) -> None:
    rows = [{"a": 1, "b": ["x"]}, {"a": 1, "b": ["x"]}, {"a": 1, "b": ["y"]}, {"a": None, "b": None}]
    assert apply(Dedup, {}, [*rows, rows[-1]], work) == [rows[0], rows[2], rows[3], rows[3]]


def test_a_text_is_compared_in_place_of_columns(work: MeaningWork) -> None:
    rows = [{"text": " sea"}, {"text": "Sea"}, {"text": "  "}, {"text": None}]
    kept = apply(Dedup, {"text": Template("{{ text.strip().lower() if text else '' }}")}, rows, work)
    assert texts_of(kept) == [" sea", "  ", None]


def noisy(count: int) -> list[Row]:
    """Texts of 20 words of chance; every third one is an earlier one with a word or eight of them changed."""
    chance = Random(7)
    words = [f"w{number}" for number in range(500)]
    texts: list[list[str]] = []
    for number in range(count):
        text = chance.choices(words, k=20)
        if number % 3 == 2:
            text = list(chance.choice(texts))
            for _ in range(chance.choice([1, 8])):
                text[chance.randrange(20)] = "new"
        texts.append(text)
    return [{"text": " ".join(text)} for text in texts]


def overlap(one: str, other: str, n: int = 2) -> float:
    sets = [{tuple(words[at : at + n]) for at in range(len(words) - n + 1)} for words in (one.split(), other.split())]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


MINHASH = {"columns": ["text"], "method": "minhash", "threshold": 0.6, "ngrams": 2, "num_perm": 256}


def test_minhash_finds_texts_that_share_most_n_grams(work: MeaningWork) -> None:
    rows = noisy(600)
    texts = texts_of(rows)
    kept = texts_of(apply(Dedup, MINHASH, rows, work))
    gone = [text for text in texts if text not in set(kept)]
    assert 60 < len(gone) < 120
    assert all(max(overlap(text, other) for other in kept) > 0.45 for text in gone), "each is like one that stays"
    alike = [(a, b) for at, b in enumerate(kept) for a in kept[:at] if overlap(a, b) > 0.75]
    assert alike == []


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_minhash_does_not_depend_on_batches(work: MeaningWork, size: int) -> None:
    rows = noisy(120)
    assert apply(Dedup, MINHASH, in_batches(rows, ("text",), size), work) == apply(Dedup, MINHASH, rows, work)


def test_minhash_keeps_the_best_and_leaves_what_has_no_word(work: MeaningWork) -> None:
    rows = [
        {"text": "Why is the sea salt?", "score": 1},
        {"text": "...", "score": 1},
        {"text": "why is the SEA salt", "score": 2},
        {"text": None, "score": 1},
        {"text": "!!!", "score": 1},
        {"text": "why is the sea salt!", "score": None},
        {"text": "word " * 50_000, "score": 1},
    ]
    kept = apply(Dedup, {"columns": ["text"], "method": "minhash", "keep": column("score")}, rows, work)
    assert texts_of(kept) == ["...", "why is the SEA salt", None, "!!!", "word " * 50_000]


def test_minhash_by_characters_reads_what_has_no_spaces(work: MeaningWork) -> None:
    rows = [{"text": "海水为什么是咸的呢"}, {"text": "海水为什么是咸的"}, {"text": "水獭怎么睡觉"}]
    options = {"columns": ["text"], "method": "minhash", "threshold": 0.7, "ngrams": 2, "unit": "characters"}
    assert texts_of(apply(Dedup, options, rows, work)) == ["海水为什么是咸的呢", "水獭怎么睡觉"]


@fast
@given(seed=st.integers(0, 1000), count=st.integers(0, 40), threshold=st.sampled_from([0.3, 0.7, 1.0]))
def test_vectors_that_are_near_one_that_stays_go(shared: MeaningWork, seed: int, count: int, threshold: float) -> None:
    chance = Random(seed)
    vectors = [
        chance.choice([None, *([float(chance.randint(-2, 2)) for _ in range(3)] for _ in range(4))])
        for _ in range(count)
    ]
    rows = [{"n": number, "v": vector, "score": chance.randint(0, 2)} for number, vector in enumerate(vectors)]
    expected = set(range(count))
    stay: list[Any] = []
    for row in sorted(rows, key=lambda row: -row["score"]):
        length = numpy.linalg.norm(row["v"]) if row["v"] else 0
        if not length:
            continue
        unit = numpy.array(row["v"]) / length
        if any(unit @ other >= threshold - 1e-6 for other in stay):
            expected.discard(row["n"])
        else:
            stay.append(unit)
    options = {"method": "embedding", "vectors": ["v"], "threshold": threshold, "keep": column("score")}
    kept = apply(Dedup, options, from_dicts(("n", "v", "score"), rows), shared)
    assert {row["n"] for row in kept} == expected


def test_more_vectors_than_are_compared_at_once(work: MeaningWork) -> None:
    around = numpy.linspace(0, 2 * numpy.pi, 3000, endpoint=False)
    rows = [{"v": [float(numpy.cos(turn)), float(numpy.sin(turn))]} for turn in [*around, *around]]
    kept = apply(Dedup, {"method": "embedding", "vectors": ["v"], "threshold": 0.9999995}, rows, work)
    assert kept == rows[:3000]


def test_texts_are_compared_by_a_model(work: MeaningWork) -> None:
    rows = [{"text": "the salt sea"}, {"text": "Sea, the salt!"}, {"text": "otters"}, {"text": None}]
    kept = apply(Dedup, {"columns": ["text"], "method": "embedding", "model": WORDS}, rows, work)
    assert texts_of(kept) == ["the salt sea", "otters", None]


def test_all_rows_stay_in_a_dry_run(tmp_path: Path) -> None:
    rows = [{"text": "sea"}, {"text": "sea"}]
    options = {"columns": ["text"], "method": "embedding", "model": WORDS}
    assert apply(Dedup, options, rows, MeaningWork(tmp_path, dry=True)) == rows


@pytest.mark.parametrize("method", ["exact", "minhash", "embedding"])
def test_no_rows(work: MeaningWork, method: str) -> None:
    options = {"method": method, **({"model": WORDS} if method == "embedding" else {})}
    made = apply(Dedup, options, from_dicts(("text",), []), work)
    assert made == []


def test_what_holds_no_vectors(work: MeaningWork) -> None:
    for values in (["a", "b"], [[1.0], [1.0, 2.0]], [[1.0], [None]], [[float("nan")], None]):
        with pytest.raises(DreamError, match="not-vectors"):
            apply(Dedup, {"method": "embedding", "vectors": ["v"]}, [{"v": value} for value in values], work)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"columns": ["text"], "text": Template("{{ text }}")}, "conflicting-options", "`columns` and `text`"),
        ({"threshold": 0.5}, "conflicting-options", '`threshold` is for "minhash" or "embedding"'),
        ({"method": "minhash", "model": WORDS}, "conflicting-options", '`model` is for "embedding"'),
        ({"method": "embedding"}, "missing-option", "needs a `model`"),
        ({"method": "embedding", "vectors": ["text"], "model": WORDS}, "conflicting-options", "`vectors` are there"),
    ],
)
def test_options_that_do_not_fit(work: MeaningWork, options: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(Wrong, match=words) as error:
        Dedup.columns(Dedup.Options(options), None, ("text",), work)
    assert error.value.code == code
