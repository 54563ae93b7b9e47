"""Vectors of texts by their words alone: for examples, tests and rehearsals that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dreammake.core.engine import EngineContext
from dreammake.core.options import Int, OptionSet
from dreammake.core.values import ModelSpec

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


class Hashing:
    """Makes embeddings from the words of a text, without a model.

    The name of the model is free. Each word, in lower case, adds 1 or takes 1 away at a place that its hash tells
    (feature hashing), and the vector is scaled to length 1: texts are alike as far as they share words, and know
    nothing of meaning. It is for trying a Dreamfile before a real model runs, and a plain baseline. A text without a
    word has zeros.
    """

    version = 1

    class Options(OptionSet):
        dimensions = Int("How many numbers a vector has.", default=256, at_least=1)

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        self._dimensions = self.Options(spec.options).dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[float32]:
        import re
        from zlib import crc32

        import numpy

        vectors = numpy.zeros((len(texts), self._dimensions), numpy.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                number = crc32(word.encode("utf-8", "surrogatepass"))
                vector[(number >> 1) % self._dimensions] += 1 - 2 * (number & 1)
        lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / numpy.where(lengths > 0, lengths, 1)).astype(numpy.float32)

    def close(self) -> None:
        """Nothing is held."""
