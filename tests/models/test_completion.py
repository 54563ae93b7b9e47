"""How answers are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dreammake.models._completion import read_completion


def _reply(message: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop"}], **more}


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ("plain", "plain", None),
        ("<think>\nwhy\n</think>\n\nthe answer", "the answer", "why"),
        ("why\n</think>\n\nthe answer", "the answer", "why"),
        ("<think>cut in the mid", "", "cut in the mid"),
        ("Models write <think> and </think>.", "Models write <think> and </think>.", None),
        ([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}], "in parts", None),
        (None, "", None),
    ],
)
def test_reasoning_stands_apart(content: Any, text: str, reasoning: str | None) -> None:
    answer = read_completion(_reply({"content": content}), 1.0)
    assert answer is not None
    assert (answer.text, answer.reasoning) == (text, reasoning)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own(field: str) -> None:
    answer = read_completion(_reply({"content": "a</think>b", field: "why"}), 1.0)
    assert answer is not None
    assert (answer.text, answer.reasoning) == ("a</think>b", "why")


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens_details": {"cached_tokens": 3}},
        {"cache_read_input_tokens": 3},
        {"prompt_cache_hit_tokens": 3, "prompt_tokens_details": None},
    ],
)
def test_tokens_that_the_provider_had_in_its_cache(usage: dict[str, Any]) -> None:
    answer = read_completion(_reply({"content": "a"}, usage={"prompt_tokens": 9, **usage}), 1.0)
    assert answer is not None
    assert (answer.prompt_tokens, answer.cached_tokens) == (9, 3)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"choices": []}', '{"choices": [{"message": null}]}']
)
def test_what_is_no_completion(content: str) -> None:
    assert read_completion(content, 1.0) is None


@pytest.mark.parametrize("cut", [1, 20, 40, 60])
def test_a_body_that_was_cut_off_is_no_answer(cut: int) -> None:
    assert read_completion(json.dumps(_reply({"content": "all of it"}))[:-cut], 1.0) is None
