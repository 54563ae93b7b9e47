"""The ledger of a build: what its workers have spent on answers, and what is held back for requests under way.

A small file that all workers share, each change under a kernel lock, so that a worker that dies leaves neither the lock
nor a wrong sum: what it held is counted as spent. Amounts are whole billionths of a dollar.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_UNIT = 1_000_000_000
_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Account:
    """Dollars: `held` is for requests under way; `budget` None means that nothing bounds them."""

    spent: float
    held: float
    budget: float | None

    @property
    def left(self) -> float:
        return math.inf if self.budget is None else max(0.0, self.budget - self.spent - self.held)


class Ledger:
    """One worker's hand on the ledger. `path` must be there: `Ledger.begin` makes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR)

    @classmethod
    def begin(cls, path: Path, budget: float | None) -> Ledger:
        """A new ledger, nothing spent."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_written({"budget": None if budget is None else int(budget * _UNIT), "spent": 0, "held": {}}))
        return cls(path)

    def hold(self, amount: float) -> Literal["held", "wait", "never"]:
        """Hold an amount back for a request. `wait`: it fits if those under way cost less than was held for them;
        `never`: what is spent leaves too little, or nothing is under way."""
        units = _units(amount)
        with self._changing() as sums:
            if sums["budget"] is None:
                return "held"
            held = sum(sums["held"].values())
            if sums["spent"] + held + units > sums["budget"]:
                _settle_the_dead(sums)
                held = sum(sums["held"].values())
                if sums["spent"] + held + units > sums["budget"]:
                    return "wait" if held and sums["spent"] + units <= sums["budget"] else "never"
            mine = str(os.getpid())
            sums["held"][mine] = sums["held"].get(mine, 0) + units
            return "held"

    def settle(self, held: float, cost: float) -> None:
        """A request is done: give back what was held for it (the same amount), and count what it cost."""
        if not (held or cost):
            return
        mine = str(os.getpid())
        with self._changing() as sums:
            sums["spent"] += _units(cost)
            if held and sums["budget"] is not None:
                sums["held"][mine] = max(0, sums["held"].get(mine, 0) - _units(held))

    def account(self) -> Account:
        """How it stands now."""
        with self._changing() as sums:
            budget = None if sums["budget"] is None else sums["budget"] / _UNIT
            return Account(sums["spent"] / _UNIT, sum(sums["held"].values()) / _UNIT, budget)

    def close(self) -> None:
        os.close(self._file)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            sums = json.loads(os.pread(self._file, _SIZE, 0))
            before = _written(sums)
            yield sums
            if (after := _written(sums)) != before:
                os.pwrite(self._file, after, 0)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _settle_the_dead(sums: dict[str, Any]) -> None:
    """What a worker held that is no more was most likely paid."""
    for worker in list(sums["held"]):
        try:
            os.kill(int(worker), 0)
        except ProcessLookupError:
            sums["spent"] += sums["held"].pop(worker)


def _units(amount: float) -> int:
    return math.ceil(round(amount * _UNIT, 3))


def _written(sums: dict[str, Any]) -> bytes:
    """Always as long, so that a shorter sum leaves nothing of a longer one."""
    return json.dumps(sums).encode().ljust(_SIZE)
