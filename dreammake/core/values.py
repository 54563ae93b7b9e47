"""What an option can hold beside plain JSON, and how it is written as JSON.

A value that is not plain JSON becomes an object with one `$`-key: `{"$model": {...}}`. Job documents and
recipes are made of these, so a worker needs no Dreamfile to read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Captured = Mapping[str, Any]
"""The names that a text or an expression reads beside the columns, with their values:
`{"config": {"n": 3}, "wildcards": {...}, "input": {...}, "output": {...}}`, only what is used."""


class _Nothing(Mapping[str, Any]):
    """The empty mapping. Hashable, so that it can be a default in a dataclass, which a mappingproxy cannot be."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


NOTHING: Mapping[str, Any] = _Nothing()


def in_words(value: Any) -> str:
    """What JSON has no form for, where a reader sees it: bytes (an image, a sound) by their number, else the text."""
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, slots=True)
class Template:
    """A Jinja2 text, rendered per row (`lang.template`)."""

    source: str
    captured: Captured = NOTHING


@dataclass(frozen=True, slots=True)
class RowExpression:
    """An expression evaluated per row: its syntax tree as JSON (`lang.tree_json`), and its text for messages."""

    tree: Any
    text: str
    captured: Captured = NOTHING


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A declared model, with the options that one use of it changed.

    `name` is its name in the Dreamfile and in no fingerprint; `model` is the provider's name, or a path when
    `target` is true (then the model is an input of the rule). `options` holds checked options of the engine.
    """

    name: str
    model: str
    engine: str = "api"
    options: Mapping[str, Any] = NOTHING
    target: bool = False

    def with_options(self, **changes: Any) -> ModelSpec:
        return ModelSpec(self.name, self.model, self.engine, {**self.options, **changes}, self.target)


@dataclass(frozen=True, slots=True)
class Function:
    """A call that describes something and computes nothing: `lora(r=8)`, `nearest(...)`, `one_of(...)`."""

    function: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = NOTHING


def models_in(value: Any) -> list[ModelSpec]:
    """The models that an option holds: one, a list of them, or those that a call names."""
    match value:
        case ModelSpec():
            return [value]
        case list() | tuple():
            return [model for item in value for model in models_in(item)]
        case Function(args=args, kwargs=kwargs):
            return models_in([*args, *kwargs.values()])
    return []


@dataclass(frozen=True, slots=True)
class TypeName:
    """`str`, `int`, `float`, `bool` written as a value, in a `schema`."""

    name: str


def to_json(value: Any) -> Any:
    """The JSON form of an option's value, secrets and all: what writes it, hides them (`core.secrets`)."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    match value:
        case list() | tuple():
            return [to_json(item) for item in value]
        case Mapping():
            return {str(key): to_json(item) for key, item in value.items()}
        case Template(source, captured):
            return {"$template": source, "captured": to_json(captured)}
        case RowExpression(tree, text, captured):
            return {"$expression": tree, "text": text, "captured": to_json(captured)}
        case ModelSpec(name, model, engine, options, target):
            return {
                "$model": {"name": name, "model": model, "engine": engine, "target": target}
                | {"options": to_json(options)}
            }
        case Function(function, args, kwargs):
            return {"$function": function, "args": to_json(args), "kwargs": to_json(kwargs)}
        case TypeName(name):
            return {"$type": name}
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def from_json(value: Any) -> Any:
    """The value behind its JSON form."""
    match value:
        case list():
            return [from_json(item) for item in value]
        case {"$template": source, "captured": captured}:
            return Template(source, from_json(captured))
        case {"$expression": tree, "text": text, "captured": captured}:
            return RowExpression(tree, text, from_json(captured))
        case {"$model": {"name": name, "model": model, "engine": engine, "target": target, "options": options}}:
            return ModelSpec(name, model, engine, from_json(options), target)
        case {"$function": function, "args": args, "kwargs": kwargs}:
            return Function(function, tuple(from_json(args)), from_json(kwargs))
        case {"$type": name}:
            return TypeName(name)
        case dict():
            return {key: from_json(item) for key, item in value.items()}
    return value
