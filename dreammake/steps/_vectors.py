"""Vectors of rows: made by an embedding model, or read from a column of lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core.arrow_types import is_list
from dreammake.core.diagnostic import fail
from dreammake.core.options import Model, Wrong
from dreammake.core.step import Work
from dreammake.core.values import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import bool_, float32, float64
    from numpy.typing import NDArray


class EmbeddingModel(Model):
    takes = "the name of a declared model that makes embeddings"

    def read(self, value: Any) -> ModelSpec:
        return embedder(super().read(value), self.name)


def embedder(spec: ModelSpec, option: str) -> ModelSpec:
    """The model that an option names, which makes embeddings. Raises Wrong."""
    from dreammake.core.catalog import Catalog

    if Catalog().embedder(spec.engine) is None:
        hint = 'take one of `engine: "sentence-transformers"`, or of "api"'
        raise Wrong(f"`{option}`: the model `{spec.name}` makes no embeddings", hint, "not-an-embedder")
    return spec


class NotEmbedded(Exception):
    """Vectors are still to be made: only in a dry run, which asks no model."""


def embedded(texts: Sequence[str | None], model: ModelSpec, work: Work) -> tuple[NDArray[float32], NDArray[bool_]]:
    """The vectors of texts (texts x dimensions), and which texts have one: None has zeros. Raises NotEmbedded."""
    import numpy

    valid = numpy.array([text is not None for text in texts], bool)
    present = [text for text in texts if text is not None]
    made = work.embed(model, present) if present else numpy.zeros((0, 0), numpy.float32)
    if made is None:
        raise NotEmbedded
    return _spread(made, valid), valid


def vectors_in(array: pa.Array, column: str) -> tuple[NDArray[float32], NDArray[bool_]]:
    """The vectors that a column holds (rows x dimensions), and which rows have one: null has zeros.

    Raises DreamError `not-vectors` where they are no lists of numbers of one length.
    """
    import numpy
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    if types.is_null(array.type):
        return numpy.zeros((len(array), 0), numpy.float32), valid
    number = is_list(array.type) and (
        types.is_floating(array.type.value_type) or types.is_integer(array.type.value_type)
    )
    if not number and array.null_count < len(array):
        _not_vectors(column, f"values of the type {array.type}")
    lengths = pc.unique(pc.list_value_length(array).drop_null()).to_pylist() if number else []
    if len(lengths) > 1:
        _not_vectors(column, f"lists of {min(lengths)} and of {max(lengths)} values")
    flat = array.flatten().to_numpy(zero_copy_only=False).astype(numpy.float32, copy=False) if lengths else None
    if flat is not None and not numpy.isfinite(flat).all():
        _not_vectors(column, "lists with a null, or a number that is none, in them")
    found = numpy.zeros((0, 0), numpy.float32) if flat is None else flat.reshape(int(valid.sum()), lengths[0])
    return _spread(found, valid), valid


def unit(vectors: NDArray[float32]) -> NDArray[float32]:
    """The vectors at length 1; one of zeros stays."""
    import numpy

    squares: NDArray[float64] = numpy.einsum("ij,ij->i", vectors, vectors, dtype=numpy.float64)
    lengths = numpy.sqrt(squares)
    return vectors / numpy.where(lengths > 0, lengths, 1).astype(numpy.float32)[:, None]


def as_lists(vectors: NDArray[float32], valid: NDArray[bool_]) -> pa.Array:
    """An Arrow array of vectors: lists of one length, null where there is none."""
    import pyarrow as pa

    if not valid.any():
        return pa.nulls(len(valid))
    flat = pa.array(vectors.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=None if valid.all() else pa.array(~valid))


def _spread(found: NDArray[float32], valid: NDArray[bool_]) -> NDArray[float32]:
    """The vectors at the places of the rows that have one, zeros elsewhere."""
    import numpy

    if valid.all() and len(found) == len(valid):
        return found
    vectors = numpy.zeros((len(valid), found.shape[1]), numpy.float32)
    vectors[valid] = found
    return vectors


def _not_vectors(column: str, what: str) -> NoReturn:
    hint = "name a column that `embed` made, or make each of them a list of as many numbers"
    fail("not-vectors", f"the column `{column}` holds no vectors, but {what}", hint=hint, exit_code=1)
