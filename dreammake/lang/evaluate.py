"""The interpreter of expressions: a syntax tree becomes nested Python closures, which are then called.

Nothing of Python's own `eval`, `compile` or `exec` is used, and work and size are bounded (`lang.limits`). What an
expression without a loop does is bounded by its length, so only loops and big values are charged for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dreammake.core.span import Span
from dreammake.core.values import ModelSpec
from dreammake.lang import syntax as s
from dreammake.lang.evaluate_calls import call_value, function_call, named_values
from dreammake.lang.evaluate_errors import blame, blamed_on, no_attribute, no_item, no_method, unknown_key, unknown_name
from dreammake.lang.evaluate_items import constant_slice, no_items, sliced
from dreammake.lang.functions import FUNCTIONS, TYPE_NAMES, format_value, items_of
from dreammake.lang.limits import SMALL, Budget, TooMuch, made, weigh
from dreammake.lang.methods import BARE, methods_named
from dreammake.lang.namespace import ContextFunction, Namespace
from dreammake.lang.operators import BINARY, COMPARE, PLAIN_COMPARE, Unfit, kind, unary

__all__ = ["Compiled", "ContextFunction", "Namespace", "Scope", "blame", "compile_expr", "evaluate"]

_UNSET: Any = object()


class Scope:
    """What an expression sees: `names` by name, `local` (what its own loops bind) by slot, and its budget."""

    __slots__ = ("budget", "local", "names")

    def __init__(self, names: Mapping[str, Any], budget: Budget, slots: int) -> None:
        self.names = names
        self.budget = budget
        self.local: list[Any] = [None] * slots


Code = Callable[[Scope], Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression ready to run, again and again. `code` takes a Scope with as many `slots`."""

    code: Code
    slots: int
    span: Span

    def __call__(self, names: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value. Raises DreamError."""
        budget = budget or Budget()
        value = self.code(Scope(names, budget, self.slots))
        with blamed_on(self.span):
            weigh(value, budget)
        return value


def evaluate(expr: s.Expr, names: Mapping[str, Any], budget: Budget | None = None) -> Any:
    """The value of an expression. Raises DreamError at the narrowest place that is wrong.

    One `budget` may serve many expressions: then all of them together are bounded.
    """
    if expr.__class__ is s.Text or expr.__class__ is s.Constant:
        return expr.value
    return compile_expr(expr)(names, budget)


def compile_expr(expr: s.Expr) -> Compiled:
    """Turn a tree into closures once, to run them many times."""
    compiler = _Compiler()
    code = compiler.code(expr)
    return Compiled(code, compiler.slots, expr.span)


class _Compiler:
    """Makes a closure for each node. `bound` are the names that enclosing loops bind, with their slots."""

    def __init__(self) -> None:
        self.slots = 0
        self.bound: dict[str, int] = {}

    def code(self, expr: s.Expr) -> Code:
        maker = _MAKERS.get(expr.__class__)
        if maker is None:
            raise blame(Unfit("this cannot be evaluated"), expr.span)
        return maker(self, expr)

    def constant(self, expr: s.Constant | s.Text) -> Code:
        value = expr.value
        return lambda scope: value

    def name(self, expr: s.Name) -> Code:
        name = expr.id
        slot = self.bound.get(name)
        if slot is not None:
            return lambda scope: scope.local[slot]
        fallback = TYPE_NAMES.get(name, _UNSET)

        def read(scope: Scope) -> Any:
            try:
                return scope.names[name]
            except KeyError:
                if fallback is not _UNSET:
                    return fallback
                raise unknown_name(expr, scope.names) from None

        return read

    def attribute(self, expr: s.Attribute) -> Code:
        owner, name = self.code(expr.value), expr.name

        def read(scope: Scope) -> Any:
            value = owner(scope)
            if value.__class__ is Namespace:
                if name in value:
                    return value[name]
                raise unknown_key(expr, name, value)
            if value.__class__ is ModelSpec and name == "name":
                return value.name
            raise no_attribute(expr, value)

        return read

    def index(self, expr: s.Index) -> Code:
        owner, span = self.code(expr.value), expr.span
        if isinstance(expr.index, s.Slice):
            parts = [
                self.code(part) if part else None for part in (expr.index.lower, expr.index.upper, expr.index.step)
            ]

            def cut(scope: Scope, value: Any) -> Any:
                bounds = [part(scope) if part else None for part in parts]
                try:
                    return made(sliced(value, bounds), scope.budget)
                except Exception as error:
                    raise blame(error, span) from None

            constant = constant_slice(expr.index)
            if constant is None:
                return lambda scope: cut(scope, owner(scope))

            def cut_constant(scope: Scope) -> Any:
                value = owner(scope)
                if value.__class__ is str and len(value) <= SMALL:
                    return value[constant]
                return cut(scope, value)

            return cut_constant
        key = self.code(expr.index)

        def read(scope: Scope) -> Any:
            value, at = owner(scope), key(scope)
            try:
                return value[at] if value.__class__ in _INDEXED else no_items(value)
            except Exception as error:
                raise no_item(expr, value, at, error) from None

        return read

    def sequence(self, expr: s.Sequence) -> Code:
        items = [self.code(item) for item in expr.items]
        if expr.kind == "tuple":
            return lambda scope: tuple([item(scope) for item in items])
        return lambda scope: [item(scope) for item in items]

    def dict(self, expr: s.Dict) -> Code:
        items = [(self.code(key), self.code(value), key.span) for key, value in expr.items]

        def make(scope: Scope) -> dict[Any, Any]:
            made: dict[Any, Any] = {}
            for key, value, span in items:
                _put(made, key(scope), value(scope), span)
            return made

        return make

    def unary(self, expr: s.Unary) -> Code:
        value, sign, span = self.code(expr.value), expr.operator, expr.span
        if sign == "not":
            return lambda scope: not value(scope)

        def operate(scope: Scope) -> Any:
            operand = value(scope)
            try:
                return unary(sign, operand)
            except Exception as error:
                raise blame(error, span) from None

        return operate

    def binary(self, expr: s.Binary) -> Code:
        left, right, span = self.code(expr.left), self.code(expr.right), expr.span
        apply = BINARY[expr.operator]

        def operate(scope: Scope) -> Any:
            a, b = left(scope), right(scope)
            try:
                return apply(a, b, scope.budget)
            except Exception as error:
                raise blame(error, span) from None

        return operate

    def compare(self, expr: s.Compare) -> Code:
        if len(expr.operators) == 1:
            return self._compare_once(expr)
        first = self.code(expr.first)
        rest = [
            (COMPARE[sign], self.code(value), value.span) for sign, value in zip(expr.operators, expr.rest, strict=True)
        ]
        start = expr.first.span

        def compare(scope: Scope) -> bool:
            a, before = first(scope), start
            for apply, value, span in rest:
                b = value(scope)
                try:
                    if not apply(a, b, scope.budget):
                        return False
                except Exception as error:
                    raise blame(error, before.to(span)) from None
                a, before = b, span
            return True

        return compare

    def _compare_once(self, expr: s.Compare) -> Code:
        sign, span, right = expr.operators[0], expr.span, expr.rest[0]
        first, apply, plain = self.code(expr.first), COMPARE[sign], PLAIN_COMPARE.get(sign)
        if isinstance(right, s.Constant | s.Text) and plain is not None:
            constant, owner = right.value, right.value.__class__

            def compare_constant(scope: Scope) -> Any:
                a = first(scope)
                if a.__class__ is owner and a is not None:
                    return plain(a, constant)
                try:
                    return apply(a, constant, scope.budget)
                except Exception as error:
                    raise blame(error, span) from None

            return compare_constant
        second = self.code(right)
        if isinstance(right, s.Sequence) and all(isinstance(item, s.Constant | s.Text) for item in right.items):
            box = [item.value for item in right.items]  # type: ignore[attr-defined]
            if sign == "in":
                return lambda scope: first(scope) in box
            if sign == "not in":
                return lambda scope: first(scope) not in box

        def compare(scope: Scope) -> Any:
            a, b = first(scope), second(scope)
            try:
                return apply(a, b, scope.budget)
            except Exception as error:
                raise blame(error, span) from None

        return compare

    def logic(self, expr: s.Logic) -> Code:
        *before, last = [self.code(value) for value in expr.values]
        stops_at = expr.operator == "or"

        def decide(scope: Scope) -> Any:
            for value in before:
                found = value(scope)
                if bool(found) is stops_at:
                    return found
            return last(scope)

        return decide

    def conditional(self, expr: s.Conditional) -> Code:
        test, then, other = self.code(expr.test), self.code(expr.then), self.code(expr.other)
        return lambda scope: then(scope) if test(scope) else other(scope)

    def format_text(self, expr: s.FormatText) -> Code:
        parts = [self.hole(part) if isinstance(part, s.Hole) else self.constant(part) for part in expr.parts]
        span = expr.span

        def join(scope: Scope) -> str:
            text = "".join([part(scope) for part in parts])
            try:
                return made(text, scope.budget)  # type: ignore[no-any-return]
            except TooMuch as error:
                raise blame(error, span) from None

        return join

    def hole(self, expr: s.Hole) -> Code:
        value, conversion, span = self.code(expr.value), expr.conversion, expr.value.span
        spec = self.format_text(expr.format) if expr.format is not None else lambda scope: ""

        def fill(scope: Scope) -> str:
            found = value(scope)
            if found.__class__ is str and not conversion and expr.format is None:
                return found
            form = spec(scope)
            try:
                return format_value(scope.budget, found, conversion, form)
            except Exception as error:
                raise blame(error, span) from None

        return fill

    def comprehension(self, expr: s.Comprehension) -> Code:
        outer = dict(self.bound)
        loops: list[tuple[Code, list[int], list[Code], Span]] = []
        for clause in expr.clauses:
            items = self.code(clause.items)
            slots = [self._bind(target) for target in clause.targets]
            loops.append((items, slots, [self.code(test) for test in clause.tests], clause.items.span))
        key = self.code(expr.key) if expr.key is not None else None
        value = self.code(expr.value)
        self.bound = outer
        cost = 1 + sum(_count(part) for part in (expr.key, expr.value) if part is not None)
        cost += sum(_count(test) for clause in expr.clauses for test in clause.tests)
        cost += sum(_count(clause.items) for clause in expr.clauses[1:])

        def emit(scope: Scope, found: Any) -> None:
            if key is None:
                found.append(value(scope))
            else:
                _put(found, key(scope), value(scope), expr.key.span if expr.key else expr.span)

        run = emit
        for items, slots, tests, span in reversed(loops):
            run = _loop(items, slots, tests, span, run, cost)

        def make(scope: Scope) -> Any:
            found: Any = [] if key is None else {}
            run(scope, found)
            with blamed_on(expr.span):
                return made(found, scope.budget)

        return make

    def _bind(self, name: str) -> int:
        self.bound[name] = self.slots
        self.slots += 1
        return self.slots - 1

    def call(self, expr: s.Call) -> Code:
        args = [self.code(arg) for arg in expr.args]
        kwargs = [(name, self.code(value), value.span) for name, value in expr.kwargs]
        function, span = expr.function, expr.span
        if isinstance(function, s.Name) and function.id in FUNCTIONS and function.id not in self.bound:
            return function_call(FUNCTIONS[function.id], args, kwargs, span)
        if isinstance(function, s.Attribute):
            return self._method_call(function, args, kwargs, span)
        called = self.code(function)

        def call(scope: Scope) -> Any:
            found = called(scope)
            values = [arg(scope) for arg in args]
            named = named_values(kwargs, scope)
            try:
                return call_value(found, values, named)
            except Exception as error:
                raise blame(error, span) from None

        return call

    def _method_call(self, function: s.Attribute, args: list[Code], kwargs: Any, span: Span) -> Code:
        owner, methods, name = self.code(function.value), methods_named(function.name), function.name

        def call(scope: Scope, value: Any) -> Any:
            inner = value.__class__ is Namespace and name in value
            method = None if inner else methods.get(value.__class__)
            if method is None and not inner:
                raise no_method(function, value)
            values = [arg(scope) for arg in args]
            named = named_values(kwargs, scope)
            try:
                if method is None:
                    return call_value(value[name], values, named)
                return method(scope.budget, value, *values, **named)
            except Exception as error:
                raise blame(error, span) from None

        plain = BARE.get(name) if not args and not kwargs else None
        if plain is None:
            return lambda scope: call(scope, owner(scope))

        def call_bare(scope: Scope) -> Any:
            value = owner(scope)
            if value.__class__ is str and len(value) <= SMALL:
                return plain(value)
            return call(scope, value)

        return call_bare


def _loop(items: Code, slots: list[int], tests: list[Code], span: Span, inner: Any, cost: int) -> Any:
    """One `for … in … if …` around `inner`."""

    def run(scope: Scope, found: Any) -> None:
        local, budget = scope.local, scope.budget
        values = items(scope)
        try:
            looped = items_of(values, budget, "a loop")
        except Exception as error:
            raise blame(error, span) from None
        for item in looped:
            try:
                budget.spend(cost)
                if len(slots) == 1:
                    local[slots[0]] = item
                else:
                    _unpack(item, slots, local)
            except Exception as error:
                raise blame(error, span) from None
            for test in tests:
                if not test(scope):
                    break
            else:
                inner(scope, found)

    return run


def _unpack(item: Any, slots: list[int], local: list[Any]) -> None:
    if not isinstance(item, list | tuple) or len(item) != len(slots):
        have = f"{len(item)} values" if isinstance(item, list | tuple) else kind(item)
        raise Unfit(f"the loop unpacks {len(slots)} values, and an item is {have}")
    for slot, value in zip(slots, item, strict=True):
        local[slot] = value


def _put(made: dict[Any, Any], key: Any, value: Any, span: Span) -> None:
    try:
        made[key] = value
    except TypeError:
        raise blame(Unfit(f"{kind(key)} cannot be a key of a dict"), span) from None


_INDEXED = frozenset({str, list, tuple, dict, Namespace})


def _count(expr: Any) -> int:
    """About how many closures an expression runs."""
    waiting, found = [expr], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting += node
        elif isinstance(node, s.Expr | s.For):
            found += 1
            waiting += [getattr(node, slot) for slot in node.__match_args__ if slot != "span"]
    return found


_MAKERS: dict[type, Callable[[_Compiler, Any], Code]] = {
    s.Constant: _Compiler.constant,
    s.Text: _Compiler.constant,
    s.FormatText: _Compiler.format_text,
    s.Name: _Compiler.name,
    s.Attribute: _Compiler.attribute,
    s.Index: _Compiler.index,
    s.Sequence: _Compiler.sequence,
    s.Dict: _Compiler.dict,
    s.Unary: _Compiler.unary,
    s.Binary: _Compiler.binary,
    s.Compare: _Compiler.compare,
    s.Logic: _Compiler.logic,
    s.Conditional: _Compiler.conditional,
    s.Comprehension: _Compiler.comprehension,
    s.Call: _Compiler.call,
}
