"""Options as a person reads them, and as everybody may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.core.values import Function, ModelSpec, RowExpression, Template, TypeName, to_json

OUTSIDE = ("/", "~/")
"""How a path begins that does not lie in the project."""


def public(path: str) -> str:
    """A path as everybody may see it: of a file or folder outside of the project only its name."""
    return f"…/{path.rstrip('/').rpartition('/')[2]}" if path.startswith(OUTSIDE) else path


def shown(value: Any) -> Any:
    """An option's value as JSON that a person reads: a text for a template or an expression, `lora(r=8)` for a
    call, without what is not set in it."""
    match value:
        case Template(source):
            return source
        case RowExpression(text=text):
            return text
        case ModelSpec(name):
            return name
        case TypeName(name):
            return name
        case Function(function, args, kwargs):
            given = [repr(shown(arg)) for arg in args]
            given += [f"{name}={shown(arg)!r}" for name, arg in kwargs.items() if arg not in (None, False, {})]
            return f"{function}({', '.join(given)})"
        case Mapping():
            return {str(key): shown(item) for key, item in value.items()}
        case list() | tuple():
            return [shown(item) for item in value]
        case str():
            return public(value) if "\n" not in value and " " not in value else value
    return to_json(value)
