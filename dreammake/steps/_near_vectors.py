"""Vectors that are near one before them: each is compared with all that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import bool_, float32, int64
    from numpy.typing import NDArray

_AT_ONCE = 1024
"""Vectors that are compared with those that stay, at once."""
_STAYING_AT_ONCE = 8192
_ROUNDING = 1e-6
"""So that equal vectors are as near as 1."""


def far_apart(vectors: NDArray[float32], order: NDArray[int64], threshold: float) -> NDArray[bool_]:
    """Which vectors (of length 1) stay when they are taken in this order, and each whose cosine with one that stays is
    `threshold` or more goes."""
    import numpy

    stays = numpy.ones(len(vectors), bool)
    staying: list[int] = []
    threshold -= _ROUNDING
    for at in range(0, len(order), _AT_ONCE):
        some = order[at : at + _AT_ONCE]
        block = vectors[some]
        near = numpy.zeros(len(some), bool)
        for first in range(0, len(staying), _STAYING_AT_ONCE):
            before = vectors[staying[first : first + _STAYING_AT_ONCE]]
            near |= (block @ before.T).max(axis=1) >= threshold
        among = numpy.tril(block @ block.T >= threshold, -1)
        for row in numpy.flatnonzero(among.any(axis=1) & ~near):
            near[row] = bool((among[row] & ~near).any())
        stays[some] = ~near
        staying += some[~near].tolist()
    return stays
