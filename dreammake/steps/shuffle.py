from __future__ import annotations

from typing import Any

from dreammake.core.options import Int, OptionSet
from dreammake.core.rows import Rows
from dreammake.core.step import Step, Work
from dreammake.steps._chance import permutation
from dreammake.steps._order import in_order, on_disk


class Shuffle(Step):
    """Puts the rows in an order of chance, the same for the same seed and number of rows."""

    paper = "shuffle"
    example = """
rule all:
    output: "data/shuffled"
    rows: [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    shuffle:
        seed: 42
"""

    class Options(OptionSet):
        seed = Int("Seed of the order.", default=0)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        spooled = on_disk(rows, work)
        return in_order(spooled, permutation(spooled.count, options.seed))
