from __future__ import annotations

from typing import Any

from dreammake.core.options import List, OptionSet, Wrong, describe
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._columns import united


class InlineRows(Step):
    """Rows written in the Dreamfile, each a dict. A column that a row lacks is null there."""

    value = "rows"
    source = True
    paper = "DataSource"
    example = """
rule all:
    output: "data/questions"
    rows: [
        {"question": "Why is the sky blue?", "level": 1},
        {"question": "What is a fixed point?", "level": 3},
    ]
"""

    class Options(OptionSet):
        rows = List("The rows, each a dict of columns.")

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        for row in options.rows:
            if not isinstance(row, dict) or not all(isinstance(column, str) for column in row):
                raise Wrong(f"each of the `rows` is a dict of columns, not {describe(row)}")
        return united(options.rows)

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        return len(options.rows)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        return from_dicts(united(options.rows), options.rows, len(options.rows))
