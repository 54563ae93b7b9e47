"""How much work and room reading a Dreamfile may take, so that none can hang or crash the reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 100
"""Levels of brackets, of indentation, and of one expression's tree."""
MAX_TEXT = 16 * 1024 * 1024
"""Characters of one text."""
MAX_ITEMS = 1_000_000
"""Items of one list that an expression makes."""
MAX_BITS = 4096
"""Bits of one whole number."""
MAX_WIDTH = 10_000
"""Width and precision in a format spec."""
READING_STEPS = 10_000_000
ROW_STEPS = 1_000_000

SMALL = 64
"""Characters of a text that costs nothing."""
_ATOMS = frozenset({bool, int, float, type(None)})


class TooMuch(Exception):
    """A limit was met: the diagnostic's code, and one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Budget:
    """Steps that are left. One step is about the work of one operator, one list item, or eight characters."""

    __slots__ = ("left",)

    def __init__(self, steps: int = READING_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooMuch("too-much-work", "this takes too much work")


def made(value: Any, budget: Budget) -> Any:
    """`value`, charged by its size. Raises TooMuch when it is over a limit."""
    kind = value.__class__
    if kind is str:
        if len(value) > SMALL:
            if len(value) > MAX_TEXT:
                raise TooMuch("too-large", f"this text would have more than {MAX_TEXT:,} characters")
            budget.spend(len(value) >> 3)
    elif kind is int:
        if value.bit_length() > MAX_BITS:
            raise TooMuch("too-large", f"this number would have more than {MAX_BITS:,} bits")
    elif kind is list or kind is tuple or kind is dict:
        check_items(len(value))
        budget.spend(len(value))
    return value


def check_items(count: int) -> None:
    if count > MAX_ITEMS:
        raise TooMuch("too-large", f"this list would have more than {MAX_ITEMS:,} items")


def check_text(length: int) -> None:
    if length > MAX_TEXT:
        raise TooMuch("too-large", f"this text would have more than {MAX_TEXT:,} characters")


def weigh(value: Any, budget: Budget) -> None:
    """Charge for everything in `value`, shared parts as often as they are there.

    What a walk over the value costs (comparing, writing as text, sorting), it costs here first.
    """
    if value.__class__ in _ATOMS:
        return
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str | bytes):
            budget.spend(1 + (len(item) >> 3))
        elif isinstance(item, list | tuple | set | frozenset):
            budget.spend(4 + 2 * len(item))
            waiting.extend(item)
        elif isinstance(item, Mapping):
            budget.spend(4 + 4 * len(item))
            waiting.extend(item.keys())
            waiting.extend(item.values())
