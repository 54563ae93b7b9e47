"""The option `schema`: what a structured answer looks like, as a JSON Schema, and the columns that it adds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dreammake.core.options import Option, Wrong, describe
from dreammake.core.values import Function, TypeName

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_CHECKED = frozenset(
    {
        "type",
        "enum",
        "const",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "pattern",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
    }
)
_IGNORED = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "format",
        "deprecated",
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "definitions",
    }
)
"""They tell something, and refuse no answer."""
_EXAMPLE = 'write `schema: {"name": str, "tags": [str], "label": one_of("yes", "no")}`'


class Schema(Option[dict[str, Any]]):
    """Fields with their types, or the text of a JSON Schema. `json_schema` gives what either means."""

    takes = "a dict of fields, or a JSON Schema through `read(...)`"

    def read(self, value: Any) -> Any:
        if not isinstance(value, Mapping | str):
            raise self.wrong(value)
        json_schema(value)
        return value


def json_schema(value: Any) -> dict[str, Any]:
    """The JSON Schema that a `schema` means. Raises `Wrong` where it means none."""
    given_as_text = isinstance(value, str)
    if given_as_text:
        try:
            value = json.loads(value)
        except ValueError as error:
            raise Wrong(f"`schema` is no JSON: {error}", "read a file that holds a JSON Schema", "bad-schema") from None
    if not isinstance(value, Mapping):
        raise Wrong("`schema` is no JSON object", "read a file that holds a JSON Schema", "bad-schema")
    if given_as_text or _is_json_schema(value):
        _check_keywords(value, value)
        return dict(value)
    if not value:
        raise Wrong("`schema` has no fields", _EXAMPLE, "bad-schema")
    return _of_fields(value, "")


def fields_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that become columns."""
    return tuple(schema["properties"])


def _is_json_schema(value: Mapping[str, Any]) -> bool:
    """A JSON Schema has plain JSON where a dict of fields has types."""
    return value.get("type") == "object" or "$schema" in value or isinstance(value.get("properties"), Mapping)


def _of_fields(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    if wrong := [name for name in value if not isinstance(name, str)]:
        raise Wrong(f"a field of `schema` is named {wrong[0]}, which is no text", _EXAMPLE, "bad-schema")
    properties = {name: _of_type(part, f"{where}.{name}" if where else name) for name, part in value.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _of_type(value: Any, where: str) -> dict[str, Any]:
    match value:
        case TypeName(name):
            return {"type": _TYPES[name]}
        case Mapping() if value:
            return _of_fields(value, where)
        case [item] | (item,):
            return {"type": "array", "items": _of_type(item, where)}
        case Function("one_of", args, kwargs) if args and not kwargs:
            choices = list(args[0]) if len(args) == 1 and isinstance(args[0], list | tuple) else list(args)
            return _of_choices(choices, where)
    hint = f"a field is `str`, `int`, `float`, `bool`, a list of one such, a dict, or one_of(...); {_EXAMPLE}"
    raise Wrong(f"the field `{where}` of `schema` is {describe(value)}", hint, "bad-schema")


def _of_choices(choices: list[Any], where: str) -> dict[str, Any]:
    """`one_of("yes", "no")` is an enum, `one_of(str, None)` a text that may be null."""
    values = [choice for choice in choices if choice is None or isinstance(choice, str | int | float)]
    others = [_of_type(choice, where) for choice in choices if choice not in values]
    if not others and None not in values:
        kinds = {str: "string", bool: "boolean", int: "integer", float: "number"}
        found = {kinds[type(choice)] for choice in values}
        return {"type": found.pop(), "enum": values} if len(found) == 1 else {"enum": values}
    plain = [choice for choice in values if choice is not None]
    parts = ([{"enum": plain}] if plain else []) + others
    return {"anyOf": [*parts, *([{"type": "null"}] if None in values else [])]}


def _check_keywords(schema: Any, whole: Mapping[str, Any]) -> None:
    """Raises `Wrong` for what could not be checked in an answer."""
    if schema is whole and (schema.get("type", "object") != "object" or not schema.get("properties")):
        raise Wrong("`schema` describes no object with `properties`", "each property becomes a column", "bad-schema")
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise Wrong(f"`schema` has {describe(schema)} where a schema belongs", code="bad-schema")
    for keyword, part in schema.items():
        if keyword in ("properties", "$defs", "definitions"):
            parts = list(part.values()) if isinstance(part, Mapping) else [part]
        elif keyword in ("anyOf", "oneOf", "allOf"):
            parts = part if isinstance(part, list) else [part]
        elif keyword in ("items", "additionalProperties"):
            parts = [part]
        elif keyword == "$ref":
            resolve(str(part), whole)
            continue
        elif keyword == "pattern":
            _check_pattern(part)
            continue
        elif keyword in _CHECKED or keyword in _IGNORED:
            continue
        else:
            raise Wrong(f"`schema` uses `{keyword}`, which is not checked here", "leave it out", "bad-schema")
        for inner in parts:
            _check_keywords(inner, whole)


def _check_pattern(pattern: Any) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError):
        raise Wrong(f"`schema` has {describe(pattern)} where a pattern belongs", code="bad-schema") from None


def resolve(reference: str, whole: Mapping[str, Any]) -> Any:
    """What `#/$defs/name` names. Raises `Wrong` where it names nothing."""
    part: Any = whole
    for step in reference.removeprefix("#").strip("/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not reference.startswith("#/") or not isinstance(part, Mapping) or name not in part:
            raise Wrong(f"`schema` refers to `{reference}`, which it does not have", code="bad-schema")
        part = part[name]
    return part
