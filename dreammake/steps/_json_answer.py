"""Reads structured answers: finds the JSON object in a text, and checks it against its schema. Nothing is guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from dreammake.steps._schema import fields_of, resolve

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_DEEPEST = 100
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


class Unreadable(Exception):
    """Why a text is no answer."""


class JsonReader:
    """Gives the fields of an answer, or raises `Unreadable`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.fields = fields_of(schema)
        self._schema = schema

    def fits(self, text: str) -> bool:
        try:
            self.read(text)
        except Unreadable:
            return False
        return True

    def read(self, text: str) -> dict[str, Any]:
        """The value of each field, in their order; one that may be absent and is has None.

        The object may stand in a fence, or have words around it. Where different objects fit, none is the answer.
        """
        found: list[dict[str, Any]] = []
        reason = ""
        for candidate in _objects(text):
            try:
                value = self._fitted(candidate)
            except Unreadable as error:
                reason = reason or str(error)
                continue
            if value not in found:
                found.append(value)
        if len(found) == 1:
            return found[0]
        raise Unreadable("it holds more than one answer" if found else reason or "it holds no JSON object")

    def _fitted(self, candidate: Any) -> dict[str, Any]:
        if not isinstance(candidate, dict):
            raise Unreadable(f"it is {_words(candidate)}, not an object")
        value = self._checked(candidate, self._schema, "", 0)
        return {field: value.get(field) for field in self.fields}

    def _checked(self, value: Any, schema: Any, where: str, depth: int) -> Any:
        """The value as the schema has it: a whole number where it says `number` becomes one with a point."""
        if schema is True:
            return value
        if schema is False or depth > _DEEPEST:
            _refuse(where, "is not expected" if schema is False else "is nested too deeply")
        if "$ref" in schema:
            value = self._checked(value, resolve(schema["$ref"], self._schema), where, depth + 1)
        if "type" in schema:
            value = _of_type(value, schema["type"], where)
        if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
            _refuse(where, f"is {_words(value)}, none of {', '.join(json.dumps(one) for one in schema['enum'])}")
        if "const" in schema and not _same(value, schema["const"]):
            _refuse(where, f"is {_words(value)}, not {json.dumps(schema['const'])}")
        value = self._alternatives(value, schema, where, depth)
        _check_limits(value, schema, where)
        if isinstance(value, dict):
            return self._object(value, schema, where, depth)
        if isinstance(value, list) and "items" in schema:
            return [self._checked(item, schema["items"], f"{where}[{at}]", depth + 1) for at, item in enumerate(value)]
        return value

    def _object(self, value: dict[str, Any], schema: Mapping[str, Any], where: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        prefix = f"{where}." if where else ""
        for name in schema.get("required", ()):
            if name not in value:
                raise Unreadable(f"the field `{prefix}{name}` is missing")
        others = schema.get("additionalProperties", True)
        # A field that nobody asked for is no reason to lose the others: it is left out.
        known = [name for name in value if name in properties or others is not False]
        return {
            name: self._checked(value[name], properties.get(name, others), prefix + name, depth + 1) for name in known
        }

    def _alternatives(self, value: Any, schema: Mapping[str, Any], where: str, depth: int) -> Any:
        for part in schema.get("allOf", ()):
            value = self._checked(value, part, where, depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if keyword not in schema:
                continue
            fitting = []
            for part in schema[keyword]:
                try:
                    fitting.append(self._checked(value, part, where, depth + 1))
                except Unreadable:
                    continue
            if not fitting or (keyword == "oneOf" and len(fitting) > 1):
                _refuse(where, f"is {_words(value)}, which fits no kind that it may be")
            value = fitting[0]
        return value


def _objects(text: str) -> Iterator[Any]:
    """What in a text may be the answer: all of it; else what stands in fences; else each object among its words."""
    text = text.strip()
    whole = _parsed(text)
    if whole is not None:
        yield whole
        return
    fenced = [parsed for part in _FENCE.findall(text) if (parsed := _parsed(part)) is not None]
    if fenced:
        yield from fenced
        return
    at = text.find("{")
    while at >= 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
            yield value
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)


def _parsed(text: str) -> Any:
    """The value that a text is, or None where it is no JSON (or null, which is no answer either)."""
    try:
        return _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different: of two values for one name neither is the answer."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)


def _of_type(value: Any, kinds: Any, where: str) -> Any:
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    for name in names:
        if isinstance(value, bool) and name != "boolean":
            continue
        if isinstance(value, _TYPES.get(name, ())):
            return _as_float(value, where) if name == "number" and isinstance(value, int | float) else value
        if name == "integer" and isinstance(value, float) and value.is_integer():
            return int(value)
    _refuse(where, f"is {_words(value)}, not {' or '.join(_NAMES.get(name, name) for name in names)}")


def _as_float(value: float, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        _refuse(where, "is too large a number")


def _check_limits(value: Any, schema: Mapping[str, Any], where: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    length = len(value) if isinstance(value, str | list) else None
    low, high = ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
    if length is not None and not schema.get(low, 0) <= length <= schema.get(high, length):
        _refuse(where, f"has a length of {length:,}")
    if number and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        _refuse(where, f"is {value}, out of range")
    if number and ("exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]):
        _refuse(where, f"is {value}, out of range")
    if number and ("exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]):
        _refuse(where, f"is {value}, out of range")
    if isinstance(value, str) and "pattern" in schema and re.search(schema["pattern"], value) is None:
        _refuse(where, f"is {_words(value)}, which does not match {schema['pattern']}")


def _refuse(where: str, what: str) -> NoReturn:
    raise Unreadable(f"the field `{where}` {what}" if where else f"it {what}")


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


_NAMES = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
_NAMES |= {"array": "a list", "object": "an object", "null": "null"}


def _words(value: Any) -> str:
    match value:
        case str():
            return f'the text "{value[:30]}…"' if len(value) > 31 else f'the text "{value}"'
        case bool() | None:
            return json.dumps(value)
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
    return "an object"
