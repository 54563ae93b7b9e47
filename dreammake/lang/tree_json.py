"""Syntax trees as compact JSON, without places: equal meaning gives equal JSON.

Numbers, None, True, False and texts stand for themselves; every other node is a list that begins with its tag.
Layout, comments, quotes, brackets around an expression, and the order of named arguments leave no trace.
"""

from __future__ import annotations

from typing import Any

from dreammake.core.span import Source, Span
from dreammake.lang import syntax as s


def to_json(expr: s.Expr | None) -> Any:
    """The JSON form of an expression; a missing part (of a slice) is `[]`."""
    match expr:
        case None:
            return []
        case s.Constant(_, value) | s.Text(_, value):
            return value
        case s.FormatText(_, parts):
            return ["format", *map(to_json, parts)]
        case s.Hole(_, value, conversion, form):
            return ["hole", to_json(value), conversion, to_json(form)]
        case s.Name(_, name):
            return ["name", name]
        case s.Attribute(_, value, name):
            return [".", to_json(value), name]
        case s.Index(_, value, index):
            return ["[]", to_json(value), to_json(index)]
        case s.Slice(_, lower, upper, step):
            return [":", to_json(lower), to_json(upper), to_json(step)]
        case s.Sequence(_, kind, items):
            return [kind, *map(to_json, items)]
        case s.Dict(_, items):
            return ["dict", *([to_json(key), to_json(value)] for key, value in items)]
        case s.Unary(_, operator, value):
            return ["unary", operator, to_json(value)]
        case s.Binary(_, operator, left, right):
            return ["binary", operator, to_json(left), to_json(right)]
        case s.Compare(_, first, operators, rest):
            return [
                "compare",
                to_json(first),
                *(x for op, e in zip(operators, rest, strict=True) for x in (op, to_json(e))),
            ]
        case s.Logic(_, operator, values):
            return [operator, *map(to_json, values)]
        case s.Conditional(_, test, then, other):
            return ["if", to_json(test), to_json(then), to_json(other)]
        case s.Comprehension(_, kind, key, value, clauses):
            loops = [[list(c.targets), to_json(c.items), *map(to_json, c.tests)] for c in clauses]
            return ["for", kind, to_json(key), to_json(value), *loops]
        case s.Call(_, function, args, kwargs):
            named = [[name, to_json(value)] for name, value in sorted(kwargs, key=lambda pair: pair[0])]
            return ["call", to_json(function), [to_json(arg) for arg in args], named]
    raise TypeError(f"a {type(expr).__name__} is no expression")


def from_json(data: Any, text: str = "", path: str = "") -> s.Expr:
    """The expression behind its JSON form. All its places are the whole of `text`."""
    reader = _Reader(Span(Source(path, text), 0, len(text)))
    expr: s.Expr | None = reader.read(data)
    if expr is None:
        raise ValueError("no expression")
    return expr


class _Reader:
    def __init__(self, span: Span) -> None:
        self.span = span

    def read(self, data: Any) -> Any:
        span, read = self.span, self.read
        match data:
            case str():
                return s.Text(span, data, ())
            case None | bool() | int() | float():
                return s.Constant(span, data)
            case []:
                return None
            case ["format", *parts]:
                return s.FormatText(span, self.all(parts))
            case ["hole", value, conversion, form]:
                return s.Hole(span, read(value), conversion, read(form))
            case ["name", name]:
                return s.Name(span, name)
            case [".", value, name]:
                return s.Attribute(span, read(value), name, span)
            case ["[]", value, index]:
                return s.Index(span, read(value), read(index))
            case [":", lower, upper, step]:
                return s.Slice(span, read(lower), read(upper), read(step))
            case ["list" | "tuple" as kind, *items]:
                return s.Sequence(span, kind, self.all(items))
            case ["dict", *items]:
                return s.Dict(span, tuple((read(key), read(value)) for key, value in items))
            case ["unary", operator, value]:
                return s.Unary(span, operator, read(value))
            case ["binary", operator, left, right]:
                return s.Binary(span, operator, read(left), read(right))
            case ["compare", first, *rest]:
                return s.Compare(span, read(first), tuple(rest[::2]), self.all(rest[1::2]))
            case ["and" | "or" as operator, *values]:
                return s.Logic(span, operator, self.all(values))
            case ["if", test, then, other]:
                return s.Conditional(span, read(test), read(then), read(other))
            case ["for", kind, key, value, *loops]:
                clauses = tuple(s.For(tuple(names), read(items), self.all(tests)) for names, items, *tests in loops)
                return s.Comprehension(span, kind, read(key), read(value), clauses)
            case ["call", function, args, named]:
                kwargs = tuple((name, read(value)) for name, value in named)
                return s.Call(span, read(function), self.all(args), kwargs)
        raise ValueError(f"no expression: {str(data)[:60]}")

    def all(self, items: Any) -> tuple[Any, ...]:
        return tuple(self.read(item) for item in items)
