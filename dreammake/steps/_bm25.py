"""BM25: the texts that share rare words with a query, in a folder of arrays that are mapped into memory.

words.npy      the hashes of all words, sorted
starts.npy     where in the next two the entries of each word begin, and at the end where they all end
texts.npy      the numbers of the texts that have the word, ascending
weights.npy    what the word adds to the score of each of them (Lucene's form of BM25)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.steps._words import words_of

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray

_SATURATION = 1.5
"""k1: how soon another occurrence of a word counts no more."""
_LENGTH = 0.75
"""b: how much a long text is held against it."""
_DENSE = 8
"""From one in so many texts on, scores are added up in one array of all texts."""


def write_index(batches: Iterable[Sequence[str | None]], folder: Path) -> None:
    """Index texts, numbered in their order. While it is made, each word of a text takes 40 bytes of memory."""
    import numpy

    words, texts, times, lengths = [], [], [], []
    done = 0
    for batch in batches:
        found = words_of(batch)
        order = numpy.lexsort((found.hashes, found.rows))
        hashes, rows = found.hashes[order], found.rows[order]
        another = (numpy.diff(hashes) != 0) | (numpy.diff(rows) != 0)
        first = numpy.flatnonzero(numpy.append(True, another)[: len(hashes)])
        words.append(hashes[first])
        texts.append((rows[first] + done).astype(numpy.int32))
        times.append(numpy.diff(numpy.append(first, len(hashes))).astype(numpy.float32))
        lengths.append(found.counts.astype(numpy.float32))
        done += len(batch)
    _write(folder, *(_joined(parts) for parts in (words, texts, times, lengths)))


def _write(folder: Path, words: Any, texts: Any, times: Any, lengths: Any) -> None:
    import numpy

    order = numpy.argsort(words, kind="stable")
    known, starts = numpy.unique(words[order], return_index=True)
    starts = numpy.append(starts, len(words)).astype(numpy.int64)
    texts, times = texts[order], times[order]
    having = numpy.diff(starts)
    rarity = numpy.log1p((len(lengths) - having + 0.5) / (having + 0.5))
    mean = float(lengths.mean()) if len(lengths) else 1.0
    damping = _SATURATION * (1 - _LENGTH + _LENGTH * lengths / max(mean, 1e-9))
    weights = numpy.repeat(rarity, having) * times / (times + damping[texts])
    for name, array in (("words", known), ("starts", starts), ("texts", texts), ("weights", weights.astype("<f4"))):
        numpy.save(folder / f"{name}.npy", array)


class WordIndex:
    """An index that was written into a folder, of `count` texts."""

    def __init__(self, folder: Path, count: int) -> None:
        import numpy

        self._count = count
        self._words, self._starts, self._texts, self._weights = (
            numpy.load(folder / f"{name}.npy", mmap_mode="r") for name in ("words", "starts", "texts", "weights")
        )

    def best(self, queries: Sequence[str | None], k: int) -> Iterator[tuple[NDArray[int64], NDArray[float32]]]:
        """For each query the numbers of the `k` texts of the highest score, and the scores; only texts that share a
        word with it. Of equal ones the first comes first."""
        import numpy

        found = words_of(queries)
        ends = numpy.cumsum(found.counts)
        for end, count in zip(ends.tolist(), found.counts.tolist(), strict=True):
            numbers, scores = self._scored(numpy.unique(found.hashes[end - count : end]))
            if len(numbers) > k:
                least = numpy.partition(scores, -k)[-k]
                likely = scores >= least
                numbers, scores = numbers[likely], scores[likely]
            order = numpy.lexsort((numbers, -scores))[:k]
            yield numbers[order].astype(numpy.int64), scores[order].astype(numpy.float32)

    def _scored(self, words: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """The texts that have one of the words, ascending, with their scores."""
        import numpy

        places = numpy.searchsorted(self._words, words)
        known = [place for place, word in zip(places, words, strict=True) if self._has(place, word)]
        spans = [slice(self._starts[place], self._starts[place + 1]) for place in known]
        texts = _joined([self._texts[span] for span in spans])
        weights = _joined([self._weights[span] for span in spans])
        if len(texts) * _DENSE > self._count:
            scores = numpy.bincount(texts, weights, minlength=self._count)
            numbers = numpy.flatnonzero(scores)
            return numbers, scores[numbers]
        numbers, place = numpy.unique(texts, return_inverse=True)
        return numbers.astype(numpy.int64), numpy.bincount(place, weights, minlength=len(numbers))

    def _has(self, place: int, word: Any) -> bool:
        return place < len(self._words) and self._words[place] == word


def _joined(parts: list[Any]) -> Any:
    import numpy

    return numpy.concatenate(parts) if parts else numpy.zeros(0, numpy.int32)
