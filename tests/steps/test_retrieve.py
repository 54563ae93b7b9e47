"""`embed`, `similarity` and `retrieve`, with vectors of words, or given ones."""

from __future__ import annotations

import sys
from math import log1p
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.values import ModelSpec, Template
from dreammake.steps import _top_k
from dreammake.steps.embed import Embed
from dreammake.steps.retrieve import Retrieve
from dreammake.steps.similarity import Similarity
from dreammake.store.dataset import open_dataset, write_dataset
from tests.support.meanings import WORDS, MeaningWork
from tests.support.work import apply, result

fast = settings(max_examples=30, deadline=None)
Row = dict[str, Any]
TEXT = Template("{{ text }}")


@pytest.fixture
def work(tmp_path: Path) -> MeaningWork:
    return MeaningWork(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> MeaningWork:
    return MeaningWork(tmp_path_factory.mktemp("project"))


def test_a_vector_a_row_and_null_where_there_is_no_text(work: MeaningWork) -> None:
    texts = ["the sea", None, "  ", "🦦", "the sea", 5, "word " * 100_000]
    rows = [{"text": None if text is None else str(text), "n": number} for number, text in enumerate(texts)]
    made = apply(Embed, {"model": WORDS, "text": TEXT}, rows, work, "v")
    assert [row["v"] is None for row in made] == [False, True, True, False, False, False, False]
    assert made[0]["v"] == made[4]["v"]
    assert [round(sum(x * x for x in row["v"]), 5) for row in (made[0], made[6])] == [1, 1]
    assert work.embedded == ["the sea", "🦦", "the sea", "5", "word " * 100_000]


def test_the_column_holds_lists_of_one_length(work: MeaningWork) -> None:
    rows: list[Row] = [{"text": None}] * 1500 + [{"text": "sea"}]
    made = result(Embed, {"model": WORDS, "text": TEXT}, rows, work, "v")
    folder = work.folder()
    write_dataset(made, folder)  # type: ignore[arg-type]
    assert open_dataset(folder).table.schema.field("v").type == pa.list_(pa.float32(), 256)


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (Embed, {"model": WORDS, "text": TEXT}),
        (Retrieve, {"docs": "docs", "model": WORDS, "text": TEXT, "query": TEXT, "k": 2}),
        (Retrieve, {"docs": "docs", "method": "bm25", "text": TEXT, "query": TEXT}),
    ],
)
def test_the_bytes_do_not_depend_on_how_rows_came(work: MeaningWork, step: Any, options: Row) -> None:
    rows = [{"text": None if number % 3 == 0 else f"word {number % 7} of {number}"} for number in range(1203)]
    work.dataset("docs", rows[:40])

    def written_in(size: int) -> list[bytes]:
        def batches() -> Any:
            for at in range(0, len(rows), size):
                yield pa.RecordBatch.from_pylist(rows[at : at + size])

        folder = work.folder()
        write_dataset(result(step, options, Rows(("text",), batches), work, "x"), folder)  # type: ignore[arg-type]
        return [file.read_bytes() for file in sorted(folder.iterdir())]

    whole = written_in(len(rows))
    assert written_in(1) == whole
    assert written_in(301) == whole


@pytest.mark.parametrize(
    ("step", "options", "name"),
    [
        (Embed, {"model": WORDS, "text": TEXT}, "v"),
        (Similarity, {"model": WORDS, "texts": [TEXT, TEXT]}, "s"),
        (Retrieve, {"docs": "docs", "model": WORDS, "text": TEXT, "query": TEXT}, "found"),
        (Retrieve, {"docs": "docs", "method": "bm25", "text": TEXT, "query": TEXT}, "found"),
    ],
)
def test_no_rows_and_a_dry_run(work: MeaningWork, step: Any, options: Row, name: str) -> None:
    work.dataset("docs", [{"text": "sea"}])
    assert apply(step, options, from_dicts(("text",), []), work, name) == []
    work.dry = True
    [made] = apply(step, options, [{"text": "sea"}], work, name)
    if options.get("method") != "bm25":
        assert made[name] == ([{"text": "sea", "score": 0.0}] if step is Retrieve else None)


def test_similarity_of_texts_is_that_of_their_vectors(work: MeaningWork) -> None:
    rows = [
        {"a": "the sea is salt", "b": "salt is the sea"},
        {"a": "otter", "b": "clock"},
        {"a": None, "b": "clock"},
        {"a": "...", "b": "clock"},
    ]
    made = apply(
        Similarity, {"model": WORDS, "texts": [Template("{{ a }}"), Template("{{ b }}")]}, rows, work, "likeness"
    )
    assert [row["likeness"] for row in made] == [pytest.approx(1), 0, None, None]


vectors = st.one_of(st.none(), st.lists(st.integers(-3, 3), min_size=2, max_size=2))


@fast
@given(pairs=st.lists(st.tuples(vectors, vectors), max_size=6))
def test_similarity_of_given_vectors_is_their_cosine(shared: MeaningWork, pairs: list[tuple[Any, Any]]) -> None:
    rows = [{"a": a, "b": b} for a, b in pairs]
    made = apply(Similarity, {"vectors": ["a", "b"]}, from_dicts(("a", "b"), rows), shared, "s")
    for row in made:
        lengths = [0 if row[side] is None else numpy.linalg.norm(row[side]) for side in "ab"]
        if not all(lengths):
            assert row["s"] is None
        else:
            assert row["s"] == pytest.approx(numpy.dot(row["a"], row["b"]) / lengths[0] / lengths[1], abs=1e-6)


def test_vectors_of_two_models_are_not_compared(work: MeaningWork) -> None:
    with pytest.raises(DreamError, match="`a` and `b` hold vectors of 2 and of 1 numbers"):
        apply(Similarity, {"vectors": ["a", "b"]}, [{"a": [1.0, 2.0], "b": [1.0]}], work, "s")
    work.dataset("docs", [{"v": [1.0]}])
    options = {"docs": "docs", "text_vectors": "v", "query_vectors": ["v"]}
    with pytest.raises(DreamError, match="a query has 2 numbers, and a vector to search has 1"):
        apply(Retrieve, options, [{"v": [1.0, 2.0]}], work, "found")


def found_by(made: list[Row], key: str = "n", name: str = "found") -> list[list[Any] | None]:
    return [None if row[name] is None else [one[key] for one in row[name]] for row in made]


@fast
@given(seed=st.integers(0, 999), docs=st.integers(0, 60), k=st.integers(1, 8))
def test_the_exact_search_is_a_sort_by_cosine(
    tmp_path_factory: pytest.TempPathFactory, seed: int, docs: int, k: int
) -> None:
    work = MeaningWork(tmp_path_factory.mktemp("project"))
    chance = Random(seed)

    def vector() -> Any:
        return chance.choice([None, *([float(chance.randint(-2, 2)) for _ in range(3)] for _ in range(5))])

    corpus = [{"n": number, "v": vector(), "more": {"x": [number]}} for number in range(docs)]
    work.dataset("docs", corpus, ("n", "v", "more"))
    rows = [{"q": vector()} for _ in range(7)]
    options = {"docs": "docs", "text_vectors": "v", "query_vectors": ["q"], "k": k}
    made = apply(Retrieve, options, from_dicts(("q",), rows), work, "found")

    def cosine(a: Any, b: Any) -> float:
        return round(float(numpy.dot(a, b) / numpy.linalg.norm(a) / numpy.linalg.norm(b)), 6)

    known = [row for row in corpus if row["v"] and any(row["v"])]
    for row in made:
        if row["q"] is None:
            assert row["found"] is None
            continue
        best = [] if not any(row["q"]) else sorted(known, key=lambda one: -cosine(row["q"], one["v"]))[:k]
        if any(row["q"]):
            assert [one["n"] for one in row["found"]] == [one["n"] for one in best]
            assert [one["score"] for one in row["found"]] == [
                pytest.approx(cosine(row["q"], one["v"]), abs=1e-5) for one in best
            ]
        assert all("v" not in one and one["more"] == {"x": [one["n"]]} for one in row["found"])


def test_many_vectors_and_queries_are_searched_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = numpy.random.default_rng(3)
    vectors = chance.standard_normal((500, 8), dtype=numpy.float32)
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[::3] + numpy.float32(0.01)
    whole = _top_k.nearest(queries, vectors, 5)
    expected = numpy.argsort(-(queries.astype("f8") @ vectors.T.astype("f8")), axis=1, kind="stable")[:, :5]
    assert (whole[0] == expected).all()
    monkeypatch.setattr(_top_k, "_VECTORS_AT_ONCE", 7)
    monkeypatch.setattr(_top_k, "QUERIES_AT_ONCE", 10)
    parts = _top_k.nearest(queries, vectors, 5)
    assert (parts[0] == whole[0]).all() and (parts[1] == whole[1]).all(), "to the last bit"


NOTES = ["Salt is washed out of rocks.", "Otters hold hands.", None, "The sea is salt, salt, salt.", "🦦 hold"]


def bm25(query: str, texts: list[str | None]) -> list[float]:
    """Lucene's BM25, as the books have it."""
    split = [[word.strip(".,?").lower() for word in (text or "").split()] for text in texts]
    mean = sum(map(len, split)) / len(split)
    scores = [0.0] * len(texts)
    for word in sorted({word.strip(".,?").lower() for word in query.split()}):
        having = sum(word in words for words in split)
        rarity = log1p((len(texts) - having + 0.5) / (having + 0.5))
        for number, words in enumerate(split):
            times = words.count(word)
            scores[number] += rarity * times / (times + 1.5 * (0.25 + 0.75 * len(words) / mean))
    return scores


@pytest.mark.parametrize("query", ["salt", "Why is the sea salt?", "otters, hold!", "nothing here"])
def test_bm25_scores_as_the_books_have_it(work: MeaningWork, query: str) -> None:
    work.dataset("docs", [{"n": number, "text": text} for number, text in enumerate(NOTES)])
    options = {"docs": "docs", "method": "bm25", "query": Template("{{ q }}"), "text": TEXT}
    [made] = apply(Retrieve, options, [{"q": query}], work, "found")
    scores = bm25(query.replace("!", ""), NOTES)
    expected = sorted((number for number, score in enumerate(scores) if score), key=lambda number: -scores[number])
    assert found_by([made]) == [expected]
    assert [one["score"] for one in made["found"]] == pytest.approx([scores[number] for number in expected], rel=1e-5)


def test_bm25_over_more_texts_than_words(work: MeaningWork) -> None:
    """Scores of rare words are added up otherwise than those of common ones."""
    texts = [f"common {'rare' if number % 50 == 7 else 'other'} {number}" for number in range(1200)]
    work.dataset("docs", [{"n": number, "text": text} for number, text in enumerate(texts)])
    options = {"docs": "docs", "method": "bm25", "query": Template("{{ q }}"), "text": TEXT, "k": 3}
    made = apply(
        Retrieve, options, [{"q": "rare"}, {"q": "common rare"}, {"q": None}, {"q": "other 1199"}], work, "found"
    )
    assert found_by(made)[:3] == [[7, 57, 107], [7, 57, 107], None]
    assert (found_by(made)[3] or [])[0] == 1199


def test_hybrid_puts_first_what_both_find(work: MeaningWork) -> None:
    corpus = [
        {"n": 0, "text": "sea", "v": [0.0, 1.0]},
        {"n": 1, "text": "otter", "v": [0.9, 0.1]},
        {"n": 2, "text": "sea otter", "v": [1.0, 0.0]},
    ]
    work.dataset("docs", corpus)
    options = {
        "docs": "docs",
        "method": "hybrid",
        "query": Template("{{ q }}"),
        "text": TEXT,
        "query_vectors": ["v"],
        "text_vectors": "v",
        "k": 2,
    }
    [made] = apply(Retrieve, options, [{"q": "sea", "v": [1.0, 0.1]}], work, "found")
    ranks = {0: (3, 1), 1: (1, None), 2: (2, 2)}  # by vectors, by words
    fused = {n: sum(1 / (60 + rank) for rank in both if rank) for n, both in ranks.items()}
    best = sorted(fused, key=lambda n: -fused[n])[:2]
    assert found_by([made]) == [best]
    assert [one["score"] for one in made["found"]] == pytest.approx([fused[n] for n in best])


def test_an_index_is_made_once_and_anew_for_other_content(work: MeaningWork) -> None:
    options = {"docs": "docs", "model": WORDS, "query": TEXT, "text": TEXT, "k": 1, "columns": ["text"]}
    work.dataset("docs", [{"text": "sea"}, {"text": "otter"}])
    for _ in range(2):
        assert found_by(apply(Retrieve, options, [{"text": "an otter"}], work, "found"), "text") == [["otter"]]
    assert work.made == ["docs"]
    work.dataset("more", [{"text": "otter pup"}])
    assert found_by(apply(Retrieve, options | {"docs": "more"}, [{"text": "otter"}], work, "found"), "text") == [
        ["otter pup"]
    ]
    import shutil

    shutil.rmtree(work.path("docs"))
    work.dataset("docs", [{"text": "clock"}])
    assert found_by(apply(Retrieve, options, [{"text": "an otter"}], work, "found"), "text") == [["clock"]]
    assert work.made == ["docs", "more", "docs"]
    other = ModelSpec("other", "words", "hashing", {"dimensions": 8})
    apply(Retrieve, options | {"model": other}, [{"text": "an otter"}], work, "found")
    assert work.made[3:] == ["docs"]
    kept = [folder for slot in (work.project / ".dreammake/indexes").iterdir() for folder in slot.iterdir()]
    assert len([folder for folder in kept if folder.is_dir()]) == 3, "the index of content that is gone went, too"


def test_hnsw_says_what_to_install(work: MeaningWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    work.dataset("docs", [{"v": [1.0, 0.0]}])
    options = {"docs": "docs", "method": "hnsw", "text_vectors": "v", "query_vectors": ["v"]}
    with pytest.raises(DreamError, match="missing-package") as error:
        apply(Retrieve, options, [{"v": [1.0, 0.0]}], work, "found")
    assert "pip install 'dreammake-llm[search]'" in error.value.diagnostics[0].hint


def test_hnsw_finds_nearly_what_the_exact_search_finds(work: MeaningWork) -> None:
    pytest.importorskip("faiss")
    chance = Random(1)
    corpus = [{"n": number, "v": [chance.gauss(0, 1) for _ in range(16)]} for number in range(3000)]
    work.dataset("docs", corpus)
    rows = [{"v": [chance.gauss(0, 1) for _ in range(16)]} for _ in range(50)]
    options = {"docs": "docs", "text_vectors": "v", "query_vectors": ["v"], "k": 5, "columns": ["n"]}
    exact = found_by(apply(Retrieve, options, rows, work, "found"))
    near = apply(Retrieve, options | {"method": "hnsw"}, rows, work, "found")
    same = sum(len(set(a or ()) & set(b or ())) for a, b in zip(exact, found_by(near), strict=True))
    assert same >= 0.95 * 250
    anew = MeaningWork(work.folder())
    anew.dataset("docs", corpus)
    assert apply(Retrieve, options | {"method": "hnsw"}, rows, anew, "found") == near
    anew.dataset("none", [], ("n", "v"))
    assert found_by(apply(Retrieve, options | {"method": "hnsw", "docs": "none"}, rows[:1], anew, "found")) == [[]]


@pytest.mark.parametrize(
    ("step", "options", "code", "words"),
    [
        (Similarity, {}, "missing-option", "no `texts`"),
        (Similarity, {"texts": [TEXT, TEXT]}, "missing-option", "by a `model`"),
        (Similarity, {"texts": [TEXT], "model": WORDS}, "wrong-type", "a list of two texts"),
        (Similarity, {"vectors": ["a"]}, "wrong-argument", "two columns, not 1"),
        (Similarity, {"vectors": ["a", "b"], "model": WORDS}, "conflicting-options", "`model` would make others"),
        (Retrieve, {"query": TEXT}, "missing-option", "no `text`"),
        (Retrieve, {"query": TEXT, "text": TEXT}, "missing-option", "by a `model`"),
        (Retrieve, {"query": TEXT, "text_vectors": "v"}, "missing-option", "by a `model`"),
        (Retrieve, {"query": TEXT, "text": TEXT, "method": "bm25", "model": WORDS}, "conflicting-options", "by words"),
        (Retrieve, {"query": TEXT, "text": TEXT, "model": WORDS, "m": 8}, "conflicting-options", "the graph of"),
        (Retrieve, {"query": TEXT, "text_vectors": "w", "model": WORDS}, "unknown-column", "have no column `w`"),
        (Retrieve, {"query": TEXT, "text": TEXT, "method": "bm25", "score": "n"}, "duplicate-column", "columns `n`"),
        (Retrieve, {"query": TEXT, "text": TEXT, "method": "bm25", "columns": ["m"]}, "unknown-column", "column `m`"),
    ],
)
def test_options_that_do_not_fit(work: MeaningWork, step: Any, options: Row, code: str, words: str) -> None:
    work.dataset("docs", [{"n": 1, "text": "sea", "v": [1.0]}])
    given = {"docs": "docs", **options} if step is Retrieve else options
    with pytest.raises(Wrong, match=words) as error:
        step.columns(step.Options(given), "x", ("text", "a", "b"), work)
    assert error.value.code == code


def test_a_model_that_makes_no_embeddings() -> None:
    with pytest.raises(Wrong, match="the model `poet` makes no embeddings"):
        Embed.Options.declared()["model"].check(ModelSpec("poet", "x", "scripted"))
