"""The operators of expressions, on plain values, bounded in work and size.

They raise `Unfit` where the operands do not fit, `TooMuch` at a limit, and what Python raises otherwise
(ZeroDivisionError, OverflowError).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from dreammake.core.options import describe
from dreammake.lang.limits import MAX_BITS, Budget, TooMuch, check_items, check_text, made, weigh

_NUMBERS: frozenset[Any] = frozenset({int, float, bool})
_SCALARS: frozenset[Any] = frozenset({int, float, bool, str, type(None)})
_PLAIN = 1 << 62


class Unfit(Exception):
    """Values that an operation does not take: one sentence, and what to do."""

    def __init__(self, message: str, hint: str = "", code: str = "bad-expression") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


def kind(value: Any) -> str:
    """The kind of a value, in words."""
    match value:
        case None:
            return "None"
        case bool():
            return "True or False"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a dict"
    return describe(value)


def _null_hint(*values: Any) -> str:
    return "test for it first: `… if x is not None else …`" if None in values else ""


def _unfit(sign: str, a: Any, b: Any) -> Unfit:
    hint = _null_hint(a, b)
    if sign == "+" and isinstance(a, str) != isinstance(b, str) and not hint:
        hint = 'write `str(x)`, or an f-string: f"…{x}…"'
    elif sign == "%" and isinstance(a, str):
        hint = 'write an f-string: f"…{x}…"'
    return Unfit(f"`{sign}` does not take {kind(a)} and {kind(b)}", hint)


def number(value: Any) -> Any:
    """A number as the result of arithmetic, if it is in bounds."""
    if value.__class__ is int:
        if not -_PLAIN < value < _PLAIN and value.bit_length() > MAX_BITS:
            raise TooMuch("too-large", f"this number would have more than {MAX_BITS:,} bits")
    elif value.__class__ is complex:
        raise Unfit("this has no real result")
    return value


def _arithmetic(sign: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Budget], Any]:
    def operate(a: Any, b: Any, budget: Budget) -> Any:
        if a.__class__ not in _NUMBERS or b.__class__ not in _NUMBERS:
            raise _unfit(sign, a, b)
        value = apply(a, b)
        if value.__class__ is float and value - value != 0 and a - a == 0 and b - b == 0:
            raise TooMuch("too-large", "this number would be too large")
        return number(value)

    return operate


_add_numbers = _arithmetic("+", operator.add)
_multiply_numbers = _arithmetic("*", operator.mul)
_power = _arithmetic("**", operator.pow)


def add(a: Any, b: Any, budget: Budget) -> Any:
    if a.__class__ is str and b.__class__ is str:
        return made(a + b, budget)
    if a.__class__ is b.__class__ and a.__class__ in (list, tuple):
        check_items(len(a) + len(b))
        return made(a + b, budget)
    return _add_numbers(a, b, budget)


def multiply(a: Any, b: Any, budget: Budget) -> Any:
    if b.__class__ in (str, list, tuple):
        a, b = b, a
    if a.__class__ in (str, list, tuple) and b.__class__ in (int, bool):
        (check_text if a.__class__ is str else check_items)(len(a) * max(0, b))
        return made(a * b, budget)
    return _multiply_numbers(a, b, budget)


def power(a: Any, b: Any, budget: Budget) -> Any:
    if a.__class__ is int and b.__class__ is int and b > 0 and a.bit_length() * b > 2 * MAX_BITS and abs(a) > 1:
        raise TooMuch("too-large", f"this number would have more than {MAX_BITS:,} bits")
    return _power(a, b, budget)


def shift_left(a: Any, b: Any, budget: Budget) -> Any:
    if a.__class__ is int and b.__class__ is int and b > MAX_BITS:
        raise TooMuch("too-large", f"this number would have more than {MAX_BITS:,} bits")
    return _whole("<<", operator.lshift)(a, b, budget)


def either(a: Any, b: Any, budget: Budget) -> Any:
    """`|` of whole numbers, or of dicts: the right one wins."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return made({**a, **b}, budget)
    return _whole("|", operator.or_)(a, b, budget)


def _whole(sign: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Budget], Any]:
    def operate(a: Any, b: Any, budget: Budget) -> Any:
        if a.__class__ not in (int, bool) or b.__class__ not in (int, bool):
            raise _unfit(sign, a, b)
        if b < 0 and sign in ("<<", ">>"):
            raise Unfit(f"`{sign}` by a negative number")
        return number(apply(a, b))

    return operate


BINARY: dict[str, Callable[[Any, Any, Budget], Any]] = {
    "+": add,
    "-": _arithmetic("-", operator.sub),
    "*": multiply,
    "/": _arithmetic("/", operator.truediv),
    "//": _arithmetic("//", operator.floordiv),
    "%": _arithmetic("%", operator.mod),
    "**": power,
    "|": either,
    "&": _whole("&", operator.and_),
    "^": _whole("^", operator.xor),
    "<<": shift_left,
    ">>": _whole(">>", operator.rshift),
}


def unary(sign: str, value: Any) -> Any:
    if sign == "not":
        return not value
    takes = (int, bool) if sign == "~" else _NUMBERS
    if value.__class__ not in takes:
        raise Unfit(f"`{sign}` does not take {kind(value)}", _null_hint(value))
    if sign == "~":
        return -int(value) - 1
    return -value if sign == "-" else +value


def _equal(a: Any, b: Any, budget: Budget) -> bool:
    if a.__class__ not in _SCALARS and b.__class__ not in _SCALARS:
        weigh(a, budget)
        weigh(b, budget)
    return bool(a == b)


def _unequal(a: Any, b: Any, budget: Budget) -> bool:
    return not _equal(a, b, budget)


def _ordered(sign: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Budget], bool]:
    def operate(a: Any, b: Any, budget: Budget) -> bool:
        try:
            if a.__class__ not in _SCALARS:
                weigh(a, budget)
                weigh(b, budget)
            return bool(apply(a, b))
        except TypeError:
            raise Unfit(f"`{sign}` does not compare {kind(a)} with {kind(b)}", _null_hint(a, b)) from None

    return operate


def contains(item: Any, box: Any, budget: Budget) -> bool:
    if box.__class__ is str:
        if item.__class__ is not str:
            raise Unfit(f"`in` looks for a text in a text, not for {kind(item)}", _null_hint(item))
        if len(box) > 64:
            budget.spend(len(box) >> 3)
        return item in box
    if isinstance(box, list | tuple):
        weigh(box, budget)
        return item in box
    if isinstance(box, Mapping):
        return _hashable(item) in box
    raise Unfit(f"`in` does not look into {kind(box)}", _null_hint(box))


def _hashable(key: Any) -> Any:
    try:
        hash(key)
    except TypeError:
        raise Unfit(f"{kind(key)} cannot be a key of a dict") from None
    return key


COMPARE: dict[str, Callable[[Any, Any, Budget], bool]] = {
    "==": _equal,
    "!=": _unequal,
    "<": _ordered("<", operator.lt),
    "<=": _ordered("<=", operator.le),
    ">": _ordered(">", operator.gt),
    ">=": _ordered(">=", operator.ge),
    "in": contains,
    "not in": lambda a, b, budget: not contains(a, b, budget),
    "is": lambda a, b, budget: a is b,
    "is not": lambda a, b, budget: a is not b,
}
PLAIN_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""For two values of one scalar class."""
