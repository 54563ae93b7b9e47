"""A row, traced back: through every rule and step to its sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dreammake.core.values import NOTHING

Origin = tuple[str, int]
"""A path, and the number of a row in it (from 0)."""


@dataclass(frozen=True, slots=True)
class TracedPrompt:
    """What a model was asked about the row, and what it said. `answer` is None where the cache has it no more.

    `cost` is in dollars, `seconds` how long it took. `attempt` counts from 1; later ones followed answers that could
    not be read. `sampling` holds the options of the request.
    """

    model: str
    engine: str
    messages: Sequence[Mapping[str, Any]]
    sampling: Mapping[str, Any] = NOTHING
    seed: int | None = None
    attempt: int = 1
    answer: str | None = None
    reasoning: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class TracedStep:
    """One step that the row went through: `row` is its number behind it; None where it came in later. `failed` says why
    the step has no result for it."""

    label: str
    row: int | None = None
    prompts: tuple[TracedPrompt, ...] = ()
    failed: str = ""


@dataclass(frozen=True, slots=True)
class TracedRow:
    """A row of a target or of a source, and where it came from.

    `values` is None where the row cannot be read (a file of a command). `how`: `replayed` is certain; `matched` found
    the row of the input by equal values; `placed` by its place among the rows; `lost` could not go on, and `note` says
    why; `source` has nothing behind it.
    """

    path: str
    row: int
    values: Mapping[str, Any] | None
    how: str = "source"
    rule: str = ""
    place: str = ""
    steps: tuple[TracedStep, ...] = ()
    origins: tuple[Origin, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """A row with all that is behind it, nearest first."""

    rows: tuple[TracedRow, ...]

    @property
    def cost(self) -> float:
        """Dollars that the answers behind the row cost."""
        return sum(prompt.cost or 0.0 for row in self.rows for step in row.steps for prompt in step.prompts)
