"""Searching the rows of a dataset: by vectors, by words, or by both. Indexes are kept for later jobs (`Work.kept`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dreammake.core.diagnostic import fail
from dreammake.core.rows import Rows
from dreammake.core.step import Work
from dreammake.core.values import to_json
from dreammake.steps._bm25 import WordIndex, write_index
from dreammake.steps._hnsw import Graph, write_graph
from dreammake.steps._row_texts import TemplateTexts
from dreammake.steps._top_k import nearest
from dreammake.steps._vector_file import VectorWriter, vectors_at
from dreammake.steps._vectors import embedded, unit, vectors_in

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import bool_, float32
    from numpy.typing import NDArray

Hits = Sequence[tuple[int, float]]
"""Numbers of rows with their scores, the best first."""

_DEPTH = 100
"""How many rows of each search count for a hybrid one."""
_RANK = 60
"""What is added to a rank in reciprocal rank fusion: the larger, the less the very first ranks stand out."""


class Search(Protocol):
    def hits(self, batch: pa.RecordBatch) -> Iterator[Hits | None]:
        """What is found for each row of a batch, given in their order; None for a row that asks for nothing.

        Raises `_vectors.NotEmbedded`, in a dry run."""


def search_of(options: Any, columns: Sequence[str], docs: Rows, work: Work) -> Search:
    """The search by a method, with its index made where it is not there. Raises `_vectors.NotEmbedded`."""
    match options.method:
        case "bm25":
            return WordSearch(options, columns, docs, work, options.k)
        case "hybrid":
            depth = max(options.k, _DEPTH)
            parts = VectorSearch(options, columns, docs, work, depth), WordSearch(options, columns, docs, work, depth)
            return HybridSearch(parts, options.k)
    return VectorSearch(options, columns, docs, work, options.k)


class VectorSearch:
    """By the cosine of vectors, exactly or by a graph."""

    def __init__(self, options: Any, columns: Sequence[str], docs: Rows, work: Work, k: int) -> None:
        self._work, self._k = work, k
        self._column = options.query_vectors[0] if options.query_vectors else None
        self._texts = None if self._column else TemplateTexts(options.query, columns)
        self._model = options.query_model or options.model
        model = None if options.text_vectors else options.model
        how = {"index": "vectors", "version": 1, "of": options.text_vectors or to_json(options.text)}
        folder = work.kept(options.docs, model, how, lambda new: _write_vectors(options, docs, work, new))
        self._vectors, self._rows = vectors_at(folder)
        self._graph = None
        if options.method == "hnsw":
            how |= {"graph": [options.m, options.ef_construction]}
            graph = work.kept(options.docs, model, how, lambda new: self._write_graph(options, new))
            self._graph = Graph(graph, max(options.ef_search, k))

    def hits(self, batch: pa.RecordBatch) -> Iterator[Hits | None]:
        queries, valid = self._queries(batch)
        if valid.any() and len(self._rows) and queries.shape[1] != self._vectors.shape[1]:
            message = f"a query has {queries.shape[1]} numbers, and a vector to search has {self._vectors.shape[1]}"
            fail("not-vectors", message, hint="take vectors of one model", exit_code=1)
        search = nearest if self._graph is None else self._search_graph
        found = iter(zip(*search(unit(queries[valid]), self._vectors, self._k), strict=True))
        for asks in valid:
            if not asks:
                yield None
                continue
            numbers, scores = next(found)
            there = numbers >= 0
            yield list(zip(self._rows[numbers[there]].tolist(), scores[there].tolist(), strict=True))

    def _queries(self, batch: pa.RecordBatch) -> tuple[NDArray[float32], NDArray[bool_]]:
        if self._texts is None:
            assert self._column is not None
            return vectors_in(batch.column(self._column), self._column)
        return embedded(self._texts.of(batch), self._model, self._work)

    def _search_graph(self, queries: NDArray[float32], vectors: NDArray[float32], k: int) -> Any:
        import numpy

        if not len(queries) or not len(vectors):
            return numpy.zeros((len(queries), 0), numpy.int64), numpy.zeros((len(queries), 0), numpy.float32)
        assert self._graph is not None
        return self._graph.nearest(queries, k)

    def _write_graph(self, options: Any, folder: Path) -> None:
        total = len(self._vectors)
        self._work.say(f"making a graph of {total:,} vectors")
        said = lambda done: self._work.progress(done, total)  # noqa: E731 - a name for the argument
        write_graph(self._vectors, options.m, options.ef_construction, folder, said)


def _write_vectors(options: Any, docs: Rows, work: Work, folder: Path) -> None:
    """The vectors of all rows of the dataset."""
    work.say(f"indexing {docs.count or 0:,} rows of {options.docs}")
    texts = None if options.text_vectors else TemplateTexts(options.text, docs.columns)
    done = 0
    with VectorWriter(folder) as file:
        for batch in docs.batches():
            if texts is None:
                file.add(*vectors_in(batch.column(options.text_vectors), options.text_vectors))
            else:
                file.add(*embedded(texts.of(batch), options.model, work))
            done += batch.num_rows
            work.progress(done, docs.count)


class WordSearch:
    """By words, with BM25."""

    def __init__(self, options: Any, columns: Sequence[str], docs: Rows, work: Work, k: int) -> None:
        self._k = k
        self._queries = TemplateTexts(options.query, columns)
        texts = TemplateTexts(options.text, docs.columns)
        how = {"index": "bm25", "version": 1, "of": to_json(options.text)}
        folder = work.kept(
            options.docs, None, how, lambda new: write_index((texts.of(batch) for batch in docs.batches()), new)
        )
        self._index = WordIndex(folder, docs.count or 0)

    def hits(self, batch: pa.RecordBatch) -> Iterator[Hits | None]:
        queries = self._queries.of(batch)
        for query, (numbers, scores) in zip(queries, self._index.best(queries, self._k), strict=True):
            yield None if query is None else list(zip(numbers.tolist(), scores.tolist(), strict=True))


class HybridSearch:
    """By several searches: a row counts by its rank in each (reciprocal rank fusion)."""

    def __init__(self, parts: Sequence[Search], k: int) -> None:
        self._parts = parts
        self._k = k

    def hits(self, batch: pa.RecordBatch) -> Iterator[Hits | None]:
        for found in zip(*(part.hits(batch) for part in self._parts), strict=True):
            yield None if all(hits is None for hits in found) else self._fused(found)

    def _fused(self, found: Sequence[Hits | None]) -> Hits:
        scores: dict[int, float] = {}
        for hits in found:
            for rank, (number, _) in enumerate(hits or (), 1):
                scores[number] = scores.get(number, 0.0) + 1 / (_RANK + rank)
        return sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))[: self._k]
