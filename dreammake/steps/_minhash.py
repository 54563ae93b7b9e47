"""MinHash: texts that share most of their n-grams, found without comparing each with each.

A text is known by `hashes` numbers, each the least that one hash function gives for any of its n-grams: two texts agree
in as many of them as their n-grams overlap (Jaccard likeness). Texts that agree in a whole band of these numbers meet
in a bucket, and only those are compared. The numbers of all texts lie on disk, mapped into memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from dreammake.steps._words import Grams, Unit, grams_of, mixed, short_grams, words_of

if TYPE_CHECKING:
    from numpy import bool_, uint32, uint64
    from numpy.typing import NDArray

_AT_ONCE = 2048
"""N-grams that are hashed at once: few, so that they stay in the processor's cache."""
_MISSED = 0.02
"""The share of pairs just as like as the threshold that may fail to meet."""


@dataclass(frozen=True, slots=True)
class Sketching:
    """How texts are sketched. `n` is the length of the n-grams, `hashes` how many numbers stand for a text."""

    n: int
    hashes: int
    threshold: float
    unit: Unit = "words"

    @property
    def band(self) -> int:
        """Numbers of a band: as many as can be, so that few texts meet in vain, while like ones hardly miss."""
        longest = 1
        for size in range(2, self.hashes + 1):
            if (1 - self.threshold**size) ** (self.hashes // size) <= _MISSED:
                longest = size
        return longest

    @property
    def bands(self) -> int:
        return self.hashes // self.band


class Sketches:
    """The sketches of `count` texts, in files of a folder."""

    def __init__(self, how: Sketching, count: int, folder: Path) -> None:
        import numpy

        chance = Random(1)
        draws = [chance.getrandbits(64) | 1 for _ in range(how.hashes)]
        self._factors = numpy.array(draws, numpy.uint64)
        self._shifts = numpy.array([chance.getrandbits(64) for _ in range(how.hashes)], numpy.uint64)
        self._how = how
        self._done = 0
        self._present = numpy.zeros(count, bool)
        rows = max(1, count)  # no file of nothing can be mapped
        self._lines = numpy.memmap(folder / "sketches", numpy.uint32, "w+", shape=(rows, how.hashes))
        self._bands = numpy.memmap(folder / "bands", numpy.uint64, "w+", shape=(how.bands, rows))

    def add(self, texts: Sequence[str | None]) -> None:
        """The next texts; None, and a text without a word, is like none."""
        import numpy

        lines, present = _sketched(self._grams(texts), len(texts), self._factors, self._shifts)
        at, end, size = self._done, self._done + len(texts), self._how.band
        self._lines[at:end], self._present[at:end] = lines, present
        for band in range(self._how.bands):
            key = numpy.full(len(texts), band, numpy.uint64)
            for column in range(band * size, (band + 1) * size):
                key = mixed(key ^ lines[:, column])
            self._bands[band, at:end] = key
        self._done = end

    def kept(self, order: Sequence[int]) -> NDArray[bool_]:
        """Which texts stay when they are taken in this order, and each that is like one before it goes."""
        import numpy

        kept = numpy.ones(self._done, bool)
        rank = numpy.empty(self._done, numpy.int64)
        rank[numpy.asarray(order, numpy.int64)] = numpy.arange(self._done)
        texts, buckets = self._meetings()
        by_rank = numpy.argsort(rank[texts], kind="stable")
        texts, buckets = texts[by_rank], buckets[by_rank]
        ends = numpy.flatnonzero(numpy.append(texts[1:] != texts[:-1], True)) + 1 if len(texts) else ()
        met = _Buckets(texts.tolist(), buckets.tolist())
        begin = 0
        for end in map(int, ends):
            text = met.texts[begin]
            others = met.others(begin, end)
            if others and self._is_like(text, others):
                kept[text] = False
            else:
                met.stay(begin, end)
            begin = end
        return kept

    def _grams(self, texts: Sequence[str | None]) -> Grams:
        import numpy

        words = words_of(texts, self._how.unit)
        long, short = grams_of(words, self._how.n), short_grams(words, self._how.n)
        rows = numpy.concatenate([long.rows, short.rows])
        order = numpy.argsort(rows, kind="stable")
        return Grams(numpy.concatenate([long.hashes, short.hashes])[order], rows[order])

    def _meetings(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The texts that meet another one, with the number of the bucket: one entry a meeting place."""
        import numpy

        texts, buckets, count = [], [], 0
        present = numpy.flatnonzero(self._present)
        for band in range(self._how.bands):
            keys = self._bands[band][present]
            order = numpy.argsort(keys, kind="stable")
            same = numpy.diff(keys[order]) == 0
            shared = numpy.append(same, False) | numpy.insert(same, 0, False) if len(keys) else numpy.zeros(0, bool)
            starts = shared & ~numpy.insert(same, 0, False) if len(keys) else shared
            number = numpy.cumsum(starts)[shared]
            texts.append(present[order[shared]].astype(numpy.int32))
            buckets.append((number + (count - 1)).astype(numpy.int32))
            count += int(starts.sum())
        return numpy.concatenate(texts), numpy.concatenate(buckets)

    def _is_like(self, text: int, others: list[int]) -> bool:
        agree = (self._lines[others] == self._lines[text]).sum(axis=1).max()
        return bool(agree >= self._how.threshold * self._how.hashes)


class _Buckets:
    """Which of the texts that stay are in each bucket: chains of entries, in flat arrays, as there may be millions."""

    def __init__(self, texts: list[int], buckets: list[int]) -> None:
        self.texts = array("i", texts)
        self._bucket_of = array("i", buckets)
        self._first = array("i", [-1]) * (max(buckets, default=-1) + 1)
        self._next = array("i", [-1]) * len(buckets)

    def others(self, begin: int, end: int) -> list[int]:
        """The texts that stay, and that the text of these entries meets."""
        found: set[int] = set()
        for entry in range(begin, end):
            other = self._first[self._bucket_of[entry]]
            while other >= 0:
                found.add(self.texts[other])
                other = self._next[other]
        return list(found)

    def stay(self, begin: int, end: int) -> None:
        for entry in range(begin, end):
            bucket = self._bucket_of[entry]
            self._next[entry] = self._first[bucket]
            self._first[bucket] = entry


def _sketched(
    grams: Grams, count: int, factors: NDArray[uint64], shifts: NDArray[uint64]
) -> tuple[NDArray[uint32], NDArray[bool_]]:
    """A line of numbers for each text, and which texts have an n-gram at all."""
    import numpy

    lines = numpy.full((count, len(factors)), 0xFFFFFFFF, numpy.uint32)
    present = numpy.zeros(count, bool)
    present[grams.rows] = True
    for at in range(0, len(grams.hashes), _AT_ONCE):
        hashes, rows = grams.hashes[at : at + _AT_ONCE], grams.rows[at : at + _AT_ONCE]
        values = hashes[:, None] * factors
        values += shifts
        values >>= numpy.uint64(32)
        starts = numpy.flatnonzero(numpy.append(True, rows[1:] != rows[:-1]))
        least = numpy.minimum.reduceat(values.astype(numpy.uint32), starts, axis=0)
        lines[rows[starts]] = numpy.minimum(lines[rows[starts]], least)
    return lines, present
