from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from dreammake.core.diagnostic import DreamError
from dreammake.lang.evaluate import Namespace, evaluate
from dreammake.lang.names import capture, chains, free_names
from tests.lang.reading import expression, value
from tests.lang.test_parser import RIGHT


def test_free_names_with_their_first_places() -> None:
    found = free_names(expression("b + a + f(k=a)[c] + [x for x in y if x + z] + x"))
    assert list(found) == ["b", "a", "f", "c", "y", "z", "x"]
    assert found["a"].start == 4
    assert found["x"].start == len("b + a + f(k=a)[c] + [x for x in y if x + z] + ")


@settings(max_examples=200, deadline=None)
@given(RIGHT)
def test_an_expression_needs_no_other_names(text: str) -> None:
    expr = expression(text)
    names: dict[str, Any] = dict.fromkeys(free_names(expr), 1)
    try:
        evaluate(expr, names)
    except DreamError as error:
        assert all(found.code != "unknown-name" for found in error.diagnostics)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("config.train.lr", {("train", "lr")}),
        ("config['train'].lr + config.n", {("train", "lr"), ("n",)}),
        ("config[key]", {()}),
        ("config.train[key].x", {("train",)}),
        ("config.items()", {()}),
        ("config.tags.count('x')", {("tags",)}),
        ("[config for config in config.list]", {("list",)}),
        ("f(config)", {()}),
        ("f'{config.a}'", {("a",)}),
        ("x.config", set()),
    ],
)
def test_chains(text: str, found: set[tuple[str, ...]]) -> None:
    assert chains(expression(text), "config") == found


def test_capture_holds_what_is_used_and_no_more() -> None:
    config = Namespace({"n": 1, "train": {"lr": 0.1, "epochs": 3}, "tags": ["a"]})
    names = {"config": config, "wildcards": Namespace({"r": 2})}
    assert capture(names, {"config": {("train", "lr"), ("tags",)}, "wildcards": {()}, "input": {("a",)}}) == {
        "config": {"train": {"lr": 0.1}, "tags": ["a"]},
        "wildcards": {"r": 2},
    }
    assert capture(names, {"config": {("train",), ("train", "lr")}}) == {"config": {"train": {"lr": 0.1, "epochs": 3}}}
    assert capture(names, {"config": {("nowhere", "x"), ("n", "x")}}) == {"config": {"n": 1}}


@pytest.mark.parametrize(
    "text", ["config.train.lr + config['n']", "config.train.keys()", "config.tags[0]", "len(config)"]
)
def test_an_expression_means_the_same_over_what_was_captured(text: str) -> None:
    config = Namespace({"n": 1, "train": {"lr": 0.1, "epochs": 3}, "tags": ["a"]})
    captured = capture({"config": config}, {"config": chains(expression(text), "config")})
    assert value(text, config=Namespace(captured["config"])) == value(text, config=config)
