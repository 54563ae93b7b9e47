"""The functions of the language: each takes a Budget first. The order of dicts and lists is kept everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dreammake.core.values import Function, TypeName
from dreammake.lang.limits import MAX_BITS, MAX_WIDTH, Budget, TooMuch, check_items, made, weigh
from dreammake.lang.operators import BINARY, Unfit, kind, number

_NUMBERS: frozenset[Any] = frozenset({int, float, bool})
_MISSING: Any = object()
TYPE_NAMES = {name: TypeName(name) for name in ("str", "int", "float", "bool")}
"""What these names are where they are not called: types, for a `schema`."""


def items_of(value: Any, budget: Budget, what: str) -> Iterable[Any]:
    """What a loop over `value` meets, charged one step an item."""
    if not isinstance(value, list | tuple | str | Mapping):
        raise Unfit(f"{what} takes a list, not {kind(value)}")
    budget.spend(len(value))
    return value


def length(budget: Budget, value: Any) -> int:
    if value.__class__ in (str, list, dict, tuple) or isinstance(value, Mapping | bytes):
        return len(value)
    raise Unfit(f"len takes a text, a list or a dict, not {kind(value)}", _null_hint(value))


def _null_hint(value: Any) -> str:
    return "test for it first: `… if x is not None else …`" if value is None else ""


def text_of(budget: Budget, value: Any = "") -> str:
    """A value as text, as Python's `str` writes it."""
    if value.__class__ is str:
        return value
    if value is None or value.__class__ in _NUMBERS or hasattr(value, "isoformat"):
        return str(value)
    if value.__class__ in (list, tuple, dict):
        weigh(value, budget)
        _check_plain(value)
        return made(str(value), budget)  # type: ignore[no-any-return]
    raise Unfit(f"{kind(value)} cannot be written as a text")


def _check_plain(value: Any) -> None:
    """Only lists, dicts and scalars are written as text."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple):
            waiting += item
        elif item.__class__ is dict:
            waiting += item.values()
        elif not (item is None or item.__class__ in _NUMBERS or item.__class__ is str or hasattr(item, "isoformat")):
            raise Unfit(f"{kind(item)} cannot be written as a text")


def format_value(budget: Budget, value: Any, conversion: str, spec: str) -> str:
    """One hole of an f-string."""
    if conversion in ("r", "a"):
        text = repr(value) if value.__class__ is str else text_of(budget, value)
        value = text if conversion == "r" else text.encode("ascii", "backslashreplace").decode()
    elif conversion == "s" or not spec:
        value = text_of(budget, value)
    if not spec:
        return made(value, budget)  # type: ignore[no-any-return]
    if value.__class__ not in _NUMBERS and value.__class__ is not str:
        raise Unfit(f"a format spec does not fit {kind(value)}", _null_hint(value))
    if any(len(digits) > 6 or int(digits) > MAX_WIDTH for digits in re.findall(r"[0-9]+", spec)):
        raise TooMuch("too-large", f"a width of more than {MAX_WIDTH:,}")
    if spec[-1:] in ("c", "n"):
        raise Unfit(f"there is no format `{spec[-1]}`")
    try:
        return made(format(value, spec), budget)  # type: ignore[no-any-return]
    except ValueError:
        raise Unfit(f"`{spec[:40]}` is no format for {kind(value)}") from None


def whole(budget: Budget, value: Any = 0, base: Any = _MISSING) -> int:
    if value.__class__ is str:
        if len(value) > MAX_BITS:
            raise TooMuch("too-large", "this number has too many digits")
        try:
            return number(int(value) if base is _MISSING else int(value, base))  # type: ignore[no-any-return]
        except ValueError:
            raise Unfit(f'"{value[:40]}" is not a whole number') from None
    if value.__class__ not in _NUMBERS or base is not _MISSING:
        raise Unfit(f"int takes a number or a text, not {kind(value)}", _null_hint(value))
    try:
        return int(value)
    except (OverflowError, ValueError):
        raise Unfit(f"{value} is not a whole number") from None


def floating(budget: Budget, value: Any = 0.0) -> float:
    if value.__class__ not in _NUMBERS and value.__class__ is not str:
        raise Unfit(f"float takes a number or a text, not {kind(value)}", _null_hint(value))
    try:
        return float(value)
    except ValueError:
        raise Unfit(f'"{value[:40]}" is not a number') from None


def truth(budget: Budget, value: Any = False) -> bool:
    return bool(value)


def absolute(budget: Budget, value: Any) -> Any:
    if value.__class__ not in _NUMBERS:
        raise Unfit(f"abs takes a number, not {kind(value)}", _null_hint(value))
    return abs(value)


def rounded(budget: Budget, value: Any, digits: Any = None) -> Any:
    if value.__class__ not in _NUMBERS:
        raise Unfit(f"round takes a number, not {kind(value)}", _null_hint(value))
    if digits is not None and (digits.__class__ is not int or abs(digits) > 1000):
        raise Unfit("round takes a small whole number of digits")
    try:
        return round(value, digits)
    except (OverflowError, ValueError):
        raise Unfit(f"{value} cannot be rounded") from None


def total(budget: Budget, values: Any, start: Any = 0) -> Any:
    for value in items_of(values, budget, "sum"):
        if value.__class__ not in _NUMBERS:
            hint = 'texts are joined with `"".join(x)`' if value.__class__ is str else _null_hint(value)
            raise Unfit(f"sum takes numbers, not {kind(value)}", hint)
        start = BINARY["+"](start, value, budget)
    return start


def _extreme(name: str, pick: Callable[..., Any]) -> Callable[..., Any]:
    def extreme(budget: Budget, *values: Any, default: Any = _MISSING) -> Any:
        found = list(items_of(values[0], budget, name)) if len(values) == 1 else list(values)
        if not found:
            if default is _MISSING:
                raise Unfit(f"{name} of an empty list", f"give what it is then: `{name}(x, default=0)`")
            return default
        weigh(found, budget)
        return _compared(name, pick, found)

    return extreme


def _compared(name: str, call: Callable[..., Any], values: Any, **kwargs: Any) -> Any:
    try:
        return call(values, **kwargs)
    except TypeError:
        kinds = sorted({kind(value) for value in values})
        raise Unfit(f"{name} does not compare {' with '.join(kinds)}") from None


def in_order(budget: Budget, values: Any, *, reverse: bool = False) -> list[Any]:
    found = list(items_of(values, budget, "sorted"))
    check_items(len(found))
    before = budget.left
    weigh(found, budget)
    budget.spend((before - budget.left) * len(found).bit_length() // 16)
    return _compared("sorted", sorted, found, reverse=bool(reverse))  # type: ignore[no-any-return]


def numbers(budget: Budget, *bounds: Any) -> list[int]:
    if not 1 <= len(bounds) <= 3:
        raise Unfit("range takes one to three whole numbers")
    for bound in bounds:
        if bound.__class__ is not int:
            raise Unfit(f"range takes whole numbers, not {kind(bound)}", _null_hint(bound))
    if bounds[2:] == (0,):
        raise Unfit("range with a step of 0")
    counted = range(*bounds)
    try:
        count = len(counted)
    except OverflowError:
        count = 1 << 62
    check_items(count)
    budget.spend(count)
    return list(counted)


def zipped(budget: Budget, *lists: Any, strict: bool = False) -> list[tuple[Any, ...]]:
    found = [list(items_of(values, budget, "zip")) for values in lists]
    if strict and len({len(values) for values in found}) > 1:
        raise Unfit("zip of lists of different lengths")
    return list(zip(*found, strict=False))


def numbered(budget: Budget, values: Any, start: Any = 0) -> list[tuple[int, Any]]:
    if start.__class__ is not int:
        raise Unfit(f"enumerate counts from a whole number, not from {kind(start)}")
    return list(enumerate(items_of(values, budget, "enumerate"), start))


def some(budget: Budget, values: Any) -> bool:
    return any(items_of(values, budget, "any"))


def every(budget: Budget, values: Any) -> bool:
    return all(items_of(values, budget, "all"))


def _describing(name: str) -> Callable[..., Function]:
    def describe(budget: Budget, *args: Any, **kwargs: Any) -> Function:
        return Function(name, args, kwargs)

    return describe


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": length,
    "min": _extreme("min", min),
    "max": _extreme("max", max),
    "sum": total,
    "abs": absolute,
    "round": rounded,
    "sorted": in_order,
    "range": numbers,
    "zip": zipped,
    "enumerate": numbered,
    "any": some,
    "all": every,
    "str": text_of,
    "int": whole,
    "float": floating,
    "bool": truth,
    **{name: _describing(name) for name in ("lora", "nearest", "one_of")},
}
