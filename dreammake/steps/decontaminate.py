from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Dataset, Float, Int, OptionSet, Text
from dreammake.core.rows import Rows
from dreammake.core.step import Step, Work
from dreammake.steps._row_texts import TemplateTexts
from dreammake.steps._words import Words, grams_of, short_grams, words_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import bool_, float64, uint64
    from numpy.typing import NDArray


class Decontaminate(Step):
    """Leaves out rows that share a run of words with an evaluation set: `against: input.eval`.

    A row goes where `n` words in a row of its `text` are in a text of the other dataset too, in any case and with any
    punctuation; with an `overlap`, where more than that share of its n-grams are. A text of fewer than `n` words counts
    as a whole: a row goes where it is just these words. Null and blank texts stay. Several evaluation sets take several
    steps.

    Rows stream; 8 bytes are held for each word of the evaluation set.
    """

    value = "against"
    example = """
rule exam:
    output: "data/exam"
    rows: [{"question": "How many legs has a heron that stands in the reeds?"}]

rule notes:
    output: "data/notes"
    rows: [
        {"text": "Asked how many legs has a heron, he said: two."},
        {"text": "Otters hold hands when they sleep."},
    ]

rule all:
    input:
        notes: "data/notes"
        exam: "data/exam"
    output: "data/clean"
    decontaminate: input.exam
        text: "{{ text }}"
        of: "{{ question }}"
        n: 6
"""

    class Options(OptionSet):
        against = Dataset("The evaluation set: `input.eval`.")
        text = Text("The text of a row.")
        of = Text("The text of a row of the evaluation set.", over="against")
        n = Int("How many words in a row are too many.", unit="words", default=13, at_least=1)
        overlap = Float(
            "The share of the n-grams of a text that may be in the evaluation set.", default=0.0, at_least=0, at_most=1
        )

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        return Rows(rows.columns, lambda: _clean(options, rows, work))


def _clean(options: Any, rows: Rows, work: Work) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    other = work.open(options.against)
    long, short = _seen(TemplateTexts(options.of, other.columns), other, options.n)
    texts = TemplateTexts(options.text, rows.columns)
    gone = done = 0
    for batch in rows.batches():
        words = words_of(texts.of(batch), "words")
        stays = ~(_overlaps(words, long, options) | _is_one_of(words, short, options.n))
        gone, done = gone + int((~stays).sum()), done + batch.num_rows
        yield batch.filter(pa.array(stays))
    work.say(f"{gone:,} of {done:,} rows share {options.n} words in a row with {options.against}")


def _seen(texts: TemplateTexts, rows: Rows, n: int) -> tuple[NDArray[uint64], NDArray[uint64]]:
    """The n-grams of a dataset, and its texts that are shorter, as sorted hashes."""
    import numpy

    none = numpy.zeros(0, numpy.uint64)
    long, short = [none], [none]
    for batch in rows.batches():
        words = words_of(texts.of(batch), "words")
        long.append(numpy.unique(grams_of(words, n).hashes))
        short.append(short_grams(words, n).hashes)
    return numpy.unique(numpy.concatenate(long)), numpy.unique(numpy.concatenate(short))


def _overlaps(words: Words, seen: NDArray[uint64], options: Any) -> NDArray[bool_]:
    import numpy

    grams = grams_of(words, options.n)
    count = len(words.counts)
    found = numpy.bincount(grams.rows[_among(grams.hashes, seen)], minlength=count)
    most: NDArray[float64] = options.overlap * numpy.bincount(grams.rows, minlength=count)
    return found > most


def _is_one_of(words: Words, seen: NDArray[uint64], n: int) -> NDArray[bool_]:
    import numpy

    grams = short_grams(words, n)
    found = numpy.zeros(len(words.counts), bool)
    found[grams.rows[_among(grams.hashes, seen)]] = True
    return found


def _among(hashes: NDArray[uint64], seen: NDArray[uint64]) -> NDArray[bool_]:
    import numpy

    if not len(seen):
        return numpy.zeros(len(hashes), bool)
    places = numpy.searchsorted(seen, hashes)
    found: NDArray[bool_] = seen[numpy.minimum(places, len(seen) - 1)] == hashes
    return found
