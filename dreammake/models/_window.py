"""How much one endpoint takes at once: found out by asking, as TCP finds out what a line takes."""

from __future__ import annotations

import random
from collections.abc import Callable

LEAST = 4
"""A window is not made smaller than this, unless the user's `concurrency` is smaller itself."""
MANY = 32
"""So many refusals in a row say that the endpoint takes nothing for now."""
LONGEST_PAUSE = 60.0
_FIRST_PAUSE = 0.02
_LONGER = 1.12
"""So slowly do pauses grow, that an endpoint that takes one request in ten is asked as fast as it takes them."""


class Window:
    """Halves when the endpoint refuses requests as too many, grows by one with each windowful of answers.

    A refused request waits for as long as the endpoint asks (Retry-After, in seconds); when many in a row are refused,
    all wait. Where the endpoint asks nothing, all wait for a random part of a pause that grows, up to a minute, until
    something is answered again. Requests that were under way together and are refused together are one refusal: each
    request brings back the `round` in which it began.
    """

    def __init__(self, most: int, chance: Callable[[], float] = random.random) -> None:
        self.most = most
        self.under_way = 0
        self.round = 0
        self.opens = 0.0
        """Nothing is sent before this moment."""
        self._least = min(LEAST, most)
        self._limit = float(most)
        self._refused = 0
        self._in_a_row = 0
        self._chance = chance

    @property
    def limit(self) -> int:
        """How many requests may be under way."""
        return int(self._limit)

    def answered(self) -> None:
        self._refused = self._in_a_row = 0
        self._limit = min(self.most, self._limit + 1 / self._limit)

    def refused(self, round_: int, now: float, after: float | None) -> None:
        """Too many requests: `after` is for how long the endpoint asks to wait."""
        self._in_a_row += 1
        if round_ == self.round:
            self.round += 1
            self._refused += 1
            self._limit = max(self._least, self._limit / 2)
            if after is None:
                self.close_until(now + self._chance() * min(_FIRST_PAUSE * _LONGER**self._refused, LONGEST_PAUSE))
        if after is not None and self._in_a_row >= MANY:
            self._in_a_row = 0
            self.close_until(now + after)

    def close_until(self, moment: float) -> None:
        self.opens = max(self.opens, moment)
