"""The option `schema`: what it means as a JSON Schema, and which texts fit it. Nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreammake.core.options import Wrong
from dreammake.core.values import Function, TypeName
from dreammake.steps._json_answer import JsonReader, Unreadable
from dreammake.steps._schema import fields_of, json_schema

STR, INT, FLOAT, BOOL = (TypeName(name) for name in ("str", "int", "float", "bool"))


def one_of(*choices: Any) -> Function:
    return Function("one_of", choices)


PERSON = {"name": STR, "age": INT, "tags": [STR], "label": one_of("yes", "no")}
ADA = {"name": "Ada", "age": 36, "tags": ["a", "b"], "label": "yes"}


def read(text: str, schema: Any = PERSON) -> dict[str, Any]:
    return JsonReader(json_schema(schema)).read(text)


def refused(value: Any, schema: Any = PERSON) -> str:
    with pytest.raises(Unreadable) as raised:
        read(value if isinstance(value, str) else json.dumps(value), schema)
    return str(raised.value)


def test_fields_are_a_closed_object() -> None:
    schema = json_schema(PERSON)
    assert fields_of(schema) == ("name", "age", "tags", "label")
    assert schema["required"] == ["name", "age", "tags", "label"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["tags"] == {"type": "array", "items": {"type": "string"}}
    assert schema["properties"]["label"] == {"type": "string", "enum": ["yes", "no"]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ADA),
        f"\n  {json.dumps(ADA, indent=2)}\n",
        f"Here you are:\n```json\n{json.dumps(ADA)}\n```\nAnything else?",
        f"```\n{json.dumps(ADA)}\n```",
        f"My {{first}} thought was wrong. The answer: {json.dumps(ADA)}. Done.",
        f"{json.dumps(ADA)} I repeat: {json.dumps(ADA)}",
        json.dumps(ADA | {"why": "nobody asked"}),
        json.dumps(ADA | {"age": 36.0}),
    ],
)
def test_the_object_is_found_where_it_stands(text: str) -> None:
    assert read(text) == ADA
    assert isinstance(read(text)["age"], int)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "it holds no JSON object"),
        ("yes", "it holds no JSON object"),
        ("[1]", "it is a list, not an object"),
        ("null", "it holds no JSON object"),
        (json.dumps(ADA)[:-1], "it holds no JSON object"),
        ({**ADA, "age": "36"}, 'the field `age` is the text "36", not a whole number'),
        ({**ADA, "age": True}, "the field `age` is true, not a whole number"),
        ({**ADA, "age": 36.5}, "the field `age` is the number 36.5, not a whole number"),
        ({**ADA, "name": None}, "the field `name` is null, not a text"),
        ({**ADA, "tags": ["a", 1]}, "the field `tags[1]` is the number 1, not a text"),
        ({**ADA, "label": "Yes"}, 'the field `label` is the text "Yes", none of "yes", "no"'),
        ({name: ADA[name] for name in ("name", "age", "tags")}, "the field `label` is missing"),
        ('{"name": "Ada", "age": 1, "tags": [], "label": "yes", "label": "no"}', "it holds no JSON object"),
        (f"{json.dumps(ADA)} or {json.dumps({**ADA, 'label': 'no'})}", "it holds more than one answer"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(value: Any, reason: str) -> None:
    assert refused(value) == reason


def test_a_number_is_always_one_with_a_point() -> None:
    assert repr(read('{"x": 3}', {"x": FLOAT})["x"]) == "3.0"
    assert refused('{"x": NaN}', {"x": FLOAT}) == "it holds no JSON object"
    assert refused('{"x": true}', {"x": FLOAT}) == "the field `x` is true, not a number"


def test_nested_and_nullable_fields() -> None:
    schema = {"who": {"name": STR, "score": one_of(INT, None)}, "flag": BOOL}
    assert read('{"who": {"name": "A", "score": null, "more": 1}, "flag": false}', schema) == {
        "who": {"name": "A", "score": None},
        "flag": False,
    }
    assert "`who.score`" in refused({"who": {"name": "A", "score": "1"}, "flag": False}, schema)


def test_a_json_schema_from_a_file() -> None:
    text = json.dumps(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "id": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
                "n": {"type": ["integer", "null"], "minimum": 1, "exclusiveMaximum": 10},
                "child": {"$ref": "#/$defs/child"},
                "kind": {"oneOf": [{"const": "a"}, {"const": 1}]},
            },
            "required": ["id"],
            "$defs": {"child": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
        }
    )
    assert read('{"id": "abc"}', text) == {"id": "abc", "n": None, "child": None, "kind": None}
    assert read('{"id": "abc", "n": 9, "child": {"x": 1}, "kind": 1}', text)["child"] == {"x": 1.0}
    for wrong in ({"id": "ABC"}, {"id": "abcde"}, {"id": "a", "n": 0}, {"id": "a", "n": 10}, {"id": "a", "child": {}}):
        refused(wrong, text)
    assert "`kind`" in refused({"id": "a", "kind": True}, text)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({}, "no fields"),
        ({"x": 3}, "`x` of `schema` is 3"),
        ({"x": []}, "`x` of `schema` is a list of 0"),
        ({"x": {"y": "str"}}, "`x.y` of `schema`"),
        ({"x": one_of()}, "`x` of `schema`"),
        ("not json", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"type": "array", "items": {}}', "no object with `properties`"),
        ('{"type": "object"}', "no object with `properties`"),
        ('{"type": "object", "properties": {"x": {"if": {}}}}', "`if`, which is not checked"),
        ('{"type": "object", "properties": {"x": {"$ref": "#/$defs/none"}}}', "`#/$defs/none`"),
        ('{"type": "object", "properties": {"x": {"pattern": "("}}}', "a pattern belongs"),
    ],
)
def test_a_schema_that_means_nothing_is_told(schema: Any, says: str) -> None:
    with pytest.raises(Wrong) as raised:
        json_schema(schema)
    assert says in raised.value.message
    assert raised.value.code == "bad-schema"


@given(st.text())
def test_any_text_fits_or_is_refused(text: str) -> None:
    reader = JsonReader(json_schema(PERSON))
    assert reader.fits(text) in (True, False)


@given(
    st.fixed_dictionaries(
        {"name": st.text(), "age": st.integers(), "tags": st.lists(st.text()), "label": st.sampled_from(["yes", "no"])}
    )
)
def test_what_fits_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    assert read(json.dumps(value)) == value
