"""Names behind a dot: what `config`, `wildcards`, `input` and `output` are in an expression."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any


class Namespace(Mapping[str, Any]):
    """An immutable mapping that can also be read with a dot; mappings inside it are wrapped, too.

    Iteration, `in` and `len` work as for a dict. A whole number gives the value at that place (`input[0]`).
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: dict[Any, Any] = {key: _wrap(value) for key, value in values.items()}

    def __getitem__(self, key: Any) -> Any:
        if key.__class__ is int and 0 <= key < len(self._values) and key not in self._values:
            return next(islice(self._values.values(), key, None))
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __repr__(self) -> str:
        return repr(self._values)


def _wrap(value: Any) -> Any:
    return Namespace(value) if isinstance(value, Mapping) and not isinstance(value, Namespace) else value


@dataclass(frozen=True, slots=True)
class ContextFunction:
    """A function that needs to know where it is called: `expand`, `glob`, `read`, `column`, `env`.

    A DreamError that it raises without a place gets the place of the call.
    """

    name: str
    call: Callable[..., Any]
