"""Calls in expressions: of the language's functions, of context functions, and of models with changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dreammake.core.span import Span
from dreammake.core.values import ModelSpec
from dreammake.lang.evaluate_errors import blame
from dreammake.lang.namespace import ContextFunction
from dreammake.lang.operators import Unfit, kind

if TYPE_CHECKING:
    from dreammake.lang.evaluate import Code, Scope

Kwargs = list[tuple[str, "Code", Span]]
"""Named arguments; `**mapping` has the name "**"."""


def function_call(function: Callable[..., Any], args: list[Code], kwargs: Kwargs, span: Span) -> Code:
    if len(args) == 1 and not kwargs:
        (only,) = args

        def call_one(scope: Scope) -> Any:
            value = only(scope)
            try:
                return function(scope.budget, value)
            except Exception as error:
                raise blame(error, span) from None

        return call_one

    def call(scope: Scope) -> Any:
        values = [arg(scope) for arg in args]
        named = named_values(kwargs, scope)
        try:
            return function(scope.budget, *values, **named)
        except Exception as error:
            raise blame(error, span) from None

    return call


def named_values(kwargs: Kwargs, scope: Scope) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, code, span in kwargs:
        value = code(scope)
        if name != "**":
            named[name] = value
        elif isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            named |= value
        else:
            raise blame(Unfit(f"`**` takes a dict of names, not {kind(value)}"), span)
    return named


def call_value(found: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a value that is no function of the language: a context function, or a model with changes."""
    if found.__class__ is ContextFunction:
        return found.call(*args, **kwargs)
    if found.__class__ is ModelSpec:
        if args:
            raise Unfit(f"the model `{found.name}` takes named options only", "write `teacher(temperature=0)`")
        return found.with_options(**kwargs)
    raise Unfit(f"{kind(found)} cannot be called")
