"""Vectors in a folder, as many as there are: written one batch after the other, and mapped into memory to be read.

vectors.f32     32-bit numbers, little-endian, vector after vector, each at length 1
numbers.npy     the number of the row that each vector is of: rows without one are left out
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.steps._vectors import unit

if TYPE_CHECKING:
    from numpy import bool_, float32, int64
    from numpy.typing import NDArray

_VECTORS = "vectors.f32"
_NUMBERS = "numbers.npy"


class VectorWriter:
    """Writes the vectors of rows into a folder; complete once it is closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / _VECTORS).open("wb")
        self._size = 0
        self._numbers: list[Any] = []
        self._rows = 0

    def add(self, vectors: NDArray[float32], valid: NDArray[bool_]) -> None:
        """The next rows. Raises DreamError `not-vectors` where their vectors are of another length than before."""
        import numpy

        there = valid & vectors.any(axis=1) if vectors.shape[1] else numpy.zeros(len(valid), bool)
        self._numbers.append(numpy.flatnonzero(there) + self._rows)
        self._rows += len(valid)
        if not there.any():
            return
        size = vectors.shape[1]
        if self._size not in (0, size):
            message = f"the vectors are of two lengths, {self._size} and {size} numbers"
            fail("not-vectors", message, hint="compare vectors of one model", exit_code=1)
        self._size = size
        self._file.write(unit(vectors[there]).astype("<f4", copy=False).tobytes())

    def __enter__(self) -> VectorWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import numpy

        self._file.close()
        numpy.save(self._folder / _NUMBERS, numpy.concatenate([numpy.zeros(0, numpy.int64), *self._numbers]))


def vectors_at(folder: Path) -> tuple[NDArray[float32], NDArray[int64]]:
    """The vectors of a folder (vectors x dimensions, read from disk as they are needed), and the rows they are of."""
    import numpy

    numbers: NDArray[int64] = numpy.load(folder / _NUMBERS)
    if not len(numbers):
        return numpy.zeros((0, 0), numpy.float32), numbers
    flat = numpy.memmap(folder / _VECTORS, "<f4", "r")
    return flat.reshape(len(numbers), -1), numbers
