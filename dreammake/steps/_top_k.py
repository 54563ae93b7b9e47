"""The vectors that are nearest to others, exactly: by products of whole blocks.

Products are of 32-bit numbers, and their last digits depend on the blocks. So some more than `k` are taken by them, and
these are weighed once more, pair by pair in 64 bits: the order and the scores depend on the vectors alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray

QUERIES_AT_ONCE = 1024
_VECTORS_AT_ONCE = 1024
"""So that the products of a block stay in the processor's cache."""
_MORE = 16
_WEIGHED_AT_ONCE = 64


def nearest(queries: NDArray[float32], vectors: NDArray[float32], k: int) -> tuple[NDArray[int64], NDArray[float32]]:
    """For each query the numbers of the `k` nearest vectors, nearest first, and their cosines; fewer where there are no
    more. Of those that are as near, the first comes first. All vectors are of length 1."""
    import numpy

    k = min(k, len(vectors))
    numbers = numpy.zeros((len(queries), k), numpy.int64)
    scores = numpy.zeros((len(queries), k), numpy.float32)
    for at in range(0, len(queries) if k else 0, QUERIES_AT_ONCE):
        some = queries[at : at + QUERIES_AT_ONCE]
        found = _candidates(some, vectors, min(k + _MORE, len(vectors)))
        numbers[at : at + len(some)], scores[at : at + len(some)] = _weighed(some, vectors, found, k)
    return numbers, scores


def _candidates(queries: NDArray[float32], vectors: NDArray[float32], k: int) -> NDArray[int64]:
    """The numbers of the `k` largest products of each query, in any order."""
    import numpy

    count = len(queries)
    best = numpy.full((count, k), -numpy.inf, numpy.float32)
    numbers = numpy.zeros((count, k), numpy.int64)
    products = numpy.empty((count, min(_VECTORS_AT_ONCE, len(vectors))), numpy.float32)
    better = numpy.empty(products.shape, bool)
    for at in range(0, len(vectors), _VECTORS_AT_ONCE):
        block = vectors[at : at + _VECTORS_AT_ONCE]
        if len(block) < products.shape[1]:
            products, better = numpy.empty((count, len(block)), numpy.float32), numpy.empty((count, len(block)), bool)
        numpy.dot(queries, block.T, out=products)
        numpy.greater(products, best.min(axis=1, keepdims=True), out=better)
        places = numpy.flatnonzero(better)
        if len(places):
            _take_better(best, numbers, products, places, at)
    return numbers


def _take_better(
    best: NDArray[float32], numbers: NDArray[int64], products: NDArray[float32], places: NDArray[int64], first: int
) -> None:
    """Put the products at these places among the best of their queries."""
    import numpy

    k, width = best.shape[1], products.shape[1]
    rows = places // width
    counts = numpy.bincount(rows, minlength=len(best))
    touched = numpy.flatnonzero(counts)
    line = numpy.zeros(len(best), numpy.int64)
    line[touched] = numpy.arange(len(touched))
    starts = numpy.cumsum(counts) - counts
    columns = k + numpy.arange(len(places)) - starts[rows]
    scores = numpy.full((len(touched), k + int(counts.max())), -numpy.inf, numpy.float32)
    found = numpy.zeros(scores.shape, numpy.int64)
    scores[:, :k], found[:, :k] = best[touched], numbers[touched]
    scores[line[rows], columns] = products.reshape(-1)[places]
    found[line[rows], columns] = places % width + first
    chosen = numpy.argpartition(scores, -k, axis=1)[:, -k:]
    best[touched] = numpy.take_along_axis(scores, chosen, axis=1)
    numbers[touched] = numpy.take_along_axis(found, chosen, axis=1)


def _weighed(
    queries: NDArray[float32], vectors: NDArray[float32], found: NDArray[int64], k: int
) -> tuple[NDArray[int64], NDArray[float32]]:
    """The `k` best of what was found, in order, with their cosines."""
    import numpy

    numbers = numpy.empty((len(queries), k), numpy.int64)
    scores = numpy.empty((len(queries), k), numpy.float32)
    for at in range(0, len(queries), _WEIGHED_AT_ONCE):
        some, candidates = queries[at : at + _WEIGHED_AT_ONCE], found[at : at + _WEIGHED_AT_ONCE]
        exact = numpy.einsum("qd,qkd->qk", some, vectors[candidates], dtype=numpy.float64)
        cosines = numpy.clip(exact, -1, 1).astype(numpy.float32)
        order = numpy.lexsort((candidates, -cosines), axis=1)[:, :k]
        numbers[at : at + len(some)] = numpy.take_along_axis(candidates, order, axis=1)
        scores[at : at + len(some)] = numpy.take_along_axis(cosines, order, axis=1)
    return numbers, scores
