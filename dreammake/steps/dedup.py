from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Choice, ColumnNames, Expression, Float, Int, OptionSet, Text, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Spooled, Step, Work
from dreammake.steps._minhash import Sketches, Sketching
from dreammake.steps._near_vectors import far_apart
from dreammake.steps._order import on_disk, order_by
from dreammake.steps._row_digests import RowDigests
from dreammake.steps._row_texts import ColumnTexts, RowTexts, TemplateTexts
from dreammake.steps._seen import Seen
from dreammake.steps._vector_file import VectorWriter, vectors_at
from dreammake.steps._vectors import EmbeddingModel, NotEmbedded, embedded, vectors_in

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import bool_
    from numpy.typing import NDArray

_USED_BY = {
    "minhash": ("threshold", "ngrams", "unit", "num_perm"),
    "embedding": ("threshold", "model", "vectors"),
    "exact": (),
}
"""The options that only some methods read."""


class Dedup(Step):
    """Leaves out rows that are the same as another one, or nearly so: `dedup: "question"`, or by a `text`.

    Of rows that are alike the first one stays, or the one with the most of `keep`; the rows that stay keep their order.
    Each row that goes is like one that stays. A row with nothing to compare (null, or a blank `text`) stays.

    - **exact**: the same text, or the same values in all of `columns`. Without `keep` rows stream, and memory does not
      grow with them.
    - **minhash**: texts whose n-grams of words overlap by `threshold` (Jaccard), in any case and with any punctuation.
      The overlap is estimated from `num_perm` hashes, to about 0.04 either way with 128 of them. What is known of a
      text lies on disk; memory grows by some 200 bytes a row. A text without spaces between its words (Chinese, say)
      wants `unit: "characters"`.
    - **embedding**: vectors whose cosine is `threshold` or more, made by `model` or read from the column `vectors`.
      Each row is compared with all that stay, so time grows with their square. Vectors lie on disk.
    """

    value = "columns"
    asks_by = "model"
    embeds = True
    example = """
rule all:
    output: "data/questions"
    rows: [
        {"question": "Why is the sea salt?", "score": 3},
        {"question": "why is the sea salt", "score": 5},
        {"question": "How do otters sleep?", "score": 4},
    ]
    dedup: "question"
        method: "minhash"
        keep: score
"""

    class Options(OptionSet):
        columns = ColumnNames(
            "The columns that are compared; all, where neither they nor a text are named.", default=None
        )
        text = Text("The text that is compared, in place of columns.", default=None)
        method = Choice("What counts as the same.", "exact", "minhash", "embedding", default="exact")
        keep = Expression("What the row that stays has most of; the first row where it is equal.", default=None)
        threshold = Float(
            "How alike rows have to be; 0.8 for `minhash`, 0.9 for `embedding` where nothing is said.",
            default=None,
            at_least=0.05,
            at_most=1,
        )
        ngrams = Int("Length of the n-grams of `minhash`.", unit="words", default=3, at_least=1)
        unit = Choice("What n-grams are made of.", "words", "characters", default="words")
        num_perm = Int("Hashes by which `minhash` knows a text.", unit="hashes", default=128, at_least=16)
        model = EmbeddingModel("The model that makes the vectors of `embedding`.", default=None)
        vectors = ColumnNames("In place of a model: the column that holds vectors.", default=None)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check(options)
        return have

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        if options.method == "exact" and options.keep is None:
            return Rows(rows.columns, lambda: _first_ones(options, rows, work))
        return Rows(rows.columns, lambda: _best_ones(options, on_disk(rows, work), work))


def _check(options: Any) -> None:
    if options.columns is not None and options.text is not None:
        raise Wrong("`columns` and `text` exclude each other", "keep one of them", "conflicting-options")
    for option in ("threshold", "ngrams", "unit", "num_perm", "model", "vectors"):
        if option not in _USED_BY[options.method] and options[option] != options.declared()[option].default:
            methods = " or ".join(f'"{name}"' for name, used in _USED_BY.items() if option in used)
            message = f'`{option}` is for {methods}, and the `method` is "{options.method}"'
            raise Wrong(message, f"say `method: {methods}`, or take it out", "conflicting-options")
    if options.method != "embedding":
        return
    if options.vectors is None and options.model is None:
        raise Wrong("to compare by embeddings needs a `model`, or the column with `vectors`", code="missing-option")
    if options.vectors is not None:
        given = [option for option in ("model", "columns", "text") if options[option] is not None]
        if given:
            message = f"`vectors` are there already, and `{given[0]}` would make others"
            raise Wrong(message, "keep one of them", "conflicting-options")
        if len(options.vectors) != 1:
            raise Wrong(f"`vectors` names one column, not {len(options.vectors)}", code="wrong-argument")


def _first_ones(options: Any, rows: Rows, work: Work) -> Iterator[pa.RecordBatch]:
    """The first of each, while rows stream by."""
    import pyarrow as pa

    digests = RowDigests(rows.columns, options.columns, options.text)
    with Seen(work.folder()) as seen:
        for batch in rows.batches():
            new = seen.are_new(digests.of(batch))
            yield batch if all(new) else batch.filter(pa.array(new))


def _best_ones(options: Any, spooled: Spooled, work: Work) -> Iterator[pa.RecordBatch]:
    """The rows that stay, once all were compared."""
    import pyarrow as pa

    order = range(spooled.count) if options.keep is None else order_by(options.keep, spooled, reverse=True)
    compare = {"exact": _by_digests, "minhash": _by_sketches, "embedding": _by_vectors}[options.method]
    try:
        stays = compare(options, spooled, order, work)
    except NotEmbedded:
        yield from spooled.batches()
        return
    work.say(f"{int((~stays).sum()):,} of {spooled.count:,} rows are like another one")
    done = 0
    for batch in spooled.batches():
        yield batch.filter(pa.array(stays[done : done + batch.num_rows]))
        done += batch.num_rows


def _by_digests(options: Any, spooled: Spooled, order: Sequence[int], work: Work) -> NDArray[bool_]:
    import numpy

    digests = RowDigests(spooled.columns, options.columns, options.text)
    table = numpy.zeros((spooled.count, 2), numpy.uint64)
    stays = numpy.ones(spooled.count, bool)
    done = 0
    for batch in spooled.batches():
        for number, digest in enumerate(digests.of(batch), done):
            if digest is not None:
                table[number] = numpy.frombuffer(digest, "<u8")
        done += batch.num_rows
    best = numpy.asarray(order, numpy.int64)
    best = best[(table[best] != 0).any(axis=1)]
    _, first = numpy.unique(table[best], axis=0, return_index=True)
    stays[best] = False
    stays[best[first]] = True
    return stays


def _by_sketches(options: Any, spooled: Spooled, order: Sequence[int], work: Work) -> NDArray[bool_]:
    how = Sketching(options.ngrams, options.num_perm, options.threshold or 0.8, options.unit)
    texts = _texts(options, spooled.columns)
    sketches = Sketches(how, spooled.count, work.folder())
    done = 0
    for batch in spooled.batches():
        sketches.add(texts.of(batch))
        done += batch.num_rows
        work.progress(done, spooled.count)
    return sketches.kept(order)


def _by_vectors(options: Any, spooled: Spooled, order: Sequence[int], work: Work) -> NDArray[bool_]:
    import numpy

    texts = None if options.vectors else _texts(options, spooled.columns)
    folder = work.folder()
    done = 0
    with VectorWriter(folder) as file:
        for batch in spooled.batches():
            if texts is None:
                file.add(*vectors_in(batch.column(options.vectors[0]), options.vectors[0]))
            else:
                file.add(*embedded(texts.of(batch), options.model, work))
            done += batch.num_rows
            work.progress(done, spooled.count)
    vectors, numbers = vectors_at(folder)
    rank = numpy.empty(spooled.count, numpy.int64)
    rank[numpy.asarray(order, numpy.int64)] = numpy.arange(spooled.count)
    stays = numpy.ones(spooled.count, bool)
    stays[numbers] = far_apart(vectors, numpy.argsort(rank[numbers]), options.threshold or 0.9)
    return stays


def _texts(options: Any, columns: Sequence[str]) -> RowTexts:
    if options.text is not None:
        return TemplateTexts(options.text, columns)
    return ColumnTexts(options.columns or columns)
