"""What a model's tokens cost: the option `price`, else a table that is packaged and never fetched.

`table.json` holds, by `provider/name`, dollars a million tokens for input, output and cached input, and how many tokens
the model reads at most: `[2.5, 10, 1.25, 128000]`, null where nobody says. `python -m dreammake.core.prices` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dreammake.core.options import Option, Wrong
from dreammake.core.values import ModelSpec

TABLE = Path(__file__).with_name("table.json")


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars a million tokens. `cached` is for the part of the input that the provider had in its own cache."""

    input: float
    output: float
    cached: float

    def cost(self, prompt_tokens: float, completion_tokens: float, cached_tokens: float = 0) -> float:
        """Dollars. `cached_tokens` are some of `prompt_tokens`."""
        read = (prompt_tokens - cached_tokens) * self.input + cached_tokens * self.cached
        return (read + completion_tokens * self.output) / 1e6

    @property
    def free(self) -> bool:
        return not (self.input or self.output)


FREE = Price(0.0, 0.0, 0.0)


class PriceOption(Option[Any]):
    takes = "dollars a million tokens: a number, or a dict of them"

    def read(self, value: Any) -> Any:
        own_price(value)
        return value


def price_of(spec: ModelSpec) -> Price | None:
    """What the model costs: by its option `price`, or by the table; nothing where it runs here; None: nobody knows."""
    own = spec.options.get("price")
    if own is not None:
        return own_price(own)
    if spec.engine != "api":
        return FREE
    entry = _entry(spec.model)
    if entry is None or entry[0] is None:
        return None
    given, made, cached, _ = entry
    return Price(given, made or 0.0, given if cached is None else cached)


def context_of(model: str) -> int | None:
    """How many tokens a hosted model reads at most; None where the table does not say."""
    entry = _entry(model)
    return None if entry is None else entry[3]


def own_price(value: Any) -> Price:
    """The option `price`: a number, or `{"input": ..., "output": ..., "cached": ...}`. Raises Wrong."""
    match value:
        case bool():
            pass
        case int() | float() if value >= 0:
            return Price(float(value), float(value), float(value))
        case Mapping() if set(value) <= {"input", "output", "cached"} and all(
            isinstance(part, int | float) and not isinstance(part, bool) and part >= 0 for part in value.values()
        ):
            given = float(value.get("input", 0.0))
            return Price(given, float(value.get("output", 0.0)), float(value.get("cached", given)))
    hint = 'write `price: 0.5`, or `price: {"input": 0.5, "output": 1.5}`'
    raise Wrong("`price` takes dollars a million tokens: a number, or a dict of them", hint)


def _entry(model: str) -> list[Any] | None:
    if model.startswith("ft:"):  # ft:gpt-4o-mini:the organisation:a suffix:an id
        model = ":".join(model.split(":")[:2])
    found = _table().get(model)
    return found if found is not None or "/" in model else _table().get(f"openai/{model}")


@cache
def _table() -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = json.loads(TABLE.read_text("utf-8"))
    return table
