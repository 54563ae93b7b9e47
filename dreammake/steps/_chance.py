"""Chance that is the same every time: it depends on a seed and a count, and on nothing else."""

from __future__ import annotations

import random
from array import array


def permutation(count: int, seed: int) -> array[int]:
    """The numbers 0 to count - 1 in an order of chance."""
    numbers = array("q", range(count))
    random.Random(seed).shuffle(numbers)
    return numbers


def choice(count: int, size: int, seed: int) -> list[int]:
    """`size` of the numbers 0 to count - 1, ascending."""
    return sorted(random.Random(seed).sample(range(count), size))
