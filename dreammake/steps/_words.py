"""The words of texts as numbers, and their n-grams: whole batches at once, in numpy.

Words are in lower case and without punctuation, so that `Hello, World!` and `hello world` are the same; signs such as
emoji are words. A hash has 64 bits, and is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy import int64, uint64
    from numpy.typing import NDArray

Unit = Literal["words", "characters"]

_MULTIPLIER = 0x9E3779B97F4A7C15
"""Odd, so that no information is lost modulo 2**64."""


@dataclass(frozen=True, slots=True)
class Words:
    """The hashes of the words of several texts, one text after the other; `counts` has how many each text has."""

    hashes: NDArray[uint64]
    counts: NDArray[int64]

    @property
    def rows(self) -> NDArray[int64]:
        """The number of the text that each word is of."""
        import numpy

        return numpy.repeat(numpy.arange(len(self.counts)), self.counts)


@dataclass(frozen=True, slots=True)
class Grams:
    """Hashes of n-grams, and the number of the text that each is of, ascending."""

    hashes: NDArray[uint64]
    rows: NDArray[int64]


def words_of(texts: Sequence[str | None], unit: Unit = "words") -> Words:
    """The words of each text, or its characters; None has none."""
    import numpy
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pc.fill_null(pc.utf8_lower(pa.array(texts, pa.large_string())), "")
    if unit == "characters":
        array = pc.utf8_trim_whitespace(pc.replace_substring_regex(array, r"\s+", " "))
        counts = pc.utf8_length(array).to_numpy(zero_copy_only=False).astype(numpy.int64)
        points = numpy.frombuffer("".join(array.to_pylist()).encode("utf-32-le"), "<u4")
        return Words(mixed(points.astype(numpy.uint64)), counts)
    lists = pc.utf8_split_whitespace(pc.replace_substring_regex(array, r"\p{P}+", " "))
    flat = lists.flatten()
    there = pc.not_equal(flat, "").to_numpy(zero_copy_only=False)
    rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)[there]
    return Words(_hashed(flat.filter(pa.array(there))), numpy.bincount(rows, minlength=len(texts)).astype(numpy.int64))


def grams_of(words: Words, n: int) -> Grams:
    """Every run of `n` words. A text of fewer has none."""
    import numpy

    hashes, rows = words.hashes, words.rows
    if len(hashes) < n:
        return Grams(numpy.zeros(0, numpy.uint64), numpy.zeros(0, numpy.int64))
    whole = rows[: len(rows) - n + 1] == rows[n - 1 :]
    runs = numpy.zeros(len(whole), numpy.uint64)
    for at in range(n):
        runs = runs * numpy.uint64(_MULTIPLIER) + hashes[at : at + len(whole)]
    return Grams(mixed(runs[whole]), rows[: len(whole)][whole])


def short_grams(words: Words, n: int) -> Grams:
    """Each text of fewer than `n` words as one gram of all its words; a text without a word has none."""
    import numpy

    rows = numpy.flatnonzero((words.counts > 0) & (words.counts < n))
    starts = (numpy.cumsum(words.counts) - words.counts)[rows]
    counts = words.counts[rows]
    runs = numpy.zeros(len(rows), numpy.uint64)
    for at in range(n - 1):
        more = counts > at
        runs[more] = runs[more] * numpy.uint64(_MULTIPLIER) + words.hashes[starts[more] + at]
    return Grams(mixed(runs), rows)


def mixed(hashes: NDArray[uint64]) -> NDArray[uint64]:
    """Each number well spread over 64 bits (splitmix64); different numbers stay different."""
    import numpy

    mixed = hashes + numpy.uint64(_MULTIPLIER)
    mixed = (mixed ^ (mixed >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> numpy.uint64(31))


def _hashed(words: Any) -> NDArray[uint64]:
    """A hash of each word of an Arrow array; equal ones are hashed once."""
    from hashlib import blake2b

    import numpy

    coded = words.dictionary_encode()
    digests = b"".join(blake2b(word.encode(), digest_size=8).digest() for word in coded.dictionary.to_pylist())
    hashes: NDArray[uint64] = numpy.frombuffer(digests, "<u8")
    found: NDArray[uint64] = hashes[coded.indices.to_numpy(zero_copy_only=False)]
    return found
