"""Items and slices of values in expressions."""

from __future__ import annotations

from typing import Any, NoReturn

from dreammake.lang import syntax as s
from dreammake.lang.operators import Unfit, kind


def no_items(value: Any) -> NoReturn:
    """Raises Unfit for a value that has none."""
    raise Unfit(
        f"{kind(value)} has no items", "test for it first: `… if x is not None else …`" if value is None else ""
    )


def constant_slice(expr: s.Slice) -> slice | None:
    """The slice where its bounds are whole numbers as they stand."""
    bounds: list[int | None] = []
    for part in (expr.lower, expr.upper, expr.step):
        if part is None:
            bounds.append(None)
        elif isinstance(part, s.Constant) and part.value.__class__ is int:
            bounds.append(part.value)
        else:
            return None
    return slice(*bounds) if bounds[2] != 0 else None


def sliced(value: Any, bounds: list[Any]) -> Any:
    if value.__class__ not in (str, list, tuple):
        raise Unfit(f"{kind(value)} cannot be sliced")
    for bound in bounds:
        if bound is not None and bound.__class__ is not int:
            raise Unfit(f"a slice takes whole numbers, not {kind(bound)}")
    if bounds[2] == 0:
        raise Unfit("a slice with a step of 0")
    return value[slice(*bounds)]
