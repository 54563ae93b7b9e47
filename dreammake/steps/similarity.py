from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.options import ColumnNames, OptionSet, Texts, Wrong
from dreammake.core.rows import Rows, add_column, with_column
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.core.values import Template
from dreammake.steps._row_texts import TemplateTexts
from dreammake.steps._vectors import EmbeddingModel, NotEmbedded, embedded, unit, vectors_in

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import bool_, float32
    from numpy.typing import NDArray

    Side = tuple[NDArray[float32], NDArray[bool_]]


class Similarity(Step):
    """Writes how like two things of a row are, from -1 to 1, as the column NAME: the cosine of their vectors.

    The two are texts, whose vectors a model makes (`texts` and `model`; they are kept as those of `embed` are), or
    columns of vectors (`vectors`). Null where one of them is null or blank, or a vector is all zeros. Rows stream:
    memory does not depend on how many there are.
    """

    named = "column"
    asks_by = "model"
    embeds = True
    paper = "CosineSimilarity"
    example = """
model words: "words"
    engine: "hashing"

rule all:
    output: "data/pairs"
    rows: [{"a": "the sea is salt", "b": "salt is in the sea"}, {"a": "an otter", "b": "a clock"}]
    similarity likeness:
        model: words
        texts: ["{{ a }}", "{{ b }}"]
"""

    class Options(OptionSet):
        texts = Texts("The two texts of a row.", default=None)
        model = EmbeddingModel("The model that makes the vectors of the texts.", default=None)
        vectors = ColumnNames("In place of texts: the two columns that hold vectors.", default=None)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check(options)
        return super().columns(options, name, have, look)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        texts = [TemplateTexts(text, rows.columns) for text in options.texts or ()]

        def sides(batch: pa.RecordBatch) -> list[Side]:
            if options.vectors is not None:
                return [vectors_in(batch.column(column), column) for column in options.vectors]
            one, other = (text.of(batch) for text in texts)
            vectors, valid = embedded([*one, *other], options.model, work)
            return [(vectors[: len(one)], valid[: len(one)]), (vectors[len(one) :], valid[len(one) :])]

        def change(batch: pa.RecordBatch) -> pa.RecordBatch:
            import pyarrow as pa

            try:
                one, other = sides(batch)
                made = _cosines(one, other, options.vectors)
            except NotEmbedded:
                made = pa.nulls(batch.num_rows, pa.float32())
            return with_column(batch, name, made)

        return rows.then(add_column(rows.columns, name), change, same_count=True)


def _check(options: Any) -> None:
    if options.vectors is not None:
        if options.texts is not None or options.model is not None:
            other = "texts" if options.texts is not None else "model"
            message = f"`vectors` are there already, and `{other}` would make others"
            raise Wrong(message, "keep one of them", "conflicting-options")
        if len(options.vectors) != 2:
            raise Wrong(f"`vectors` names two columns, not {len(options.vectors)}", code="wrong-argument")
        return
    if options.texts is None:
        raise Wrong("there is nothing to compare: no `texts`", 'add `texts: ["{{ a }}", "{{ b }}"]`', "missing-option")
    two = isinstance(options.texts, list | tuple) and len(options.texts) == 2
    if not two or not all(isinstance(text, Template) for text in options.texts):
        raise Wrong("`texts` takes a list of two texts", 'write `texts: ["{{ a }}", "{{ b }}"]`')
    if options.model is None:
        raise Wrong("`texts` are compared by a `model`", "name one that makes embeddings", "missing-option")


def _cosines(one: Side, other: Side, columns: list[str] | None) -> pa.Array:
    """The cosine of each pair of rows; null where one of the two has no length."""
    import numpy
    import pyarrow as pa

    from dreammake.core.diagnostic import fail

    (a, has_a), (b, has_b) = one, other
    both = has_a & has_b
    if not both.any():
        return pa.nulls(len(both), pa.float32())
    if a.shape[1] != b.shape[1]:
        names = " and ".join(f"`{column}`" for column in columns or ())
        message = f"{names} hold vectors of {a.shape[1]} and of {b.shape[1]} numbers"
        fail("not-vectors", message, hint="compare vectors of one model", exit_code=1)
    a, b = unit(a), unit(b)
    found = numpy.einsum("ij,ij->i", a, b, dtype=numpy.float64)
    both &= a.any(axis=1) & b.any(axis=1)
    return pa.array(numpy.clip(found, -1, 1).astype(numpy.float32), mask=~both)
