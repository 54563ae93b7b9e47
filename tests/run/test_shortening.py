"""How much of a request that is too long is left."""

from __future__ import annotations

import pytest

from dreammake.core.engine import Request, told_schema
from dreammake.run.shortening import fewer_examples, shortened

LONG = "x" * 1000


def left(said: str, answer: int | None = None, text: str = LONG) -> int | None:
    request = shortened(Request(({"role": "user", "content": text},)), said, answer)
    return None if request is None else len(request.messages[-1]["content"])


@pytest.mark.parametrize(
    ("said", "answer", "letters"),
    [
        ("(400: This model's maximum context length is 100 tokens. However, you requested 200 tokens)", 20, 380),
        ("(400: the request exceeds the available context size (100 tokens), it has 200 tokens)", 20, 380),
        ("(400: prompt is too long: 200,000 tokens > 100,000 maximum)", 20_000, 380),
        ("(400: maximum context length is 80 tokens, you asked for 160)", None, 415),
        ("(400: context_length_exceeded)", 20, 500),
        ("(400: maximum context length is 100 tokens)", 20, 500),
    ],
)
def test_what_the_server_says_decides(said: str, answer: int | None, letters: int) -> None:
    found = left(said, answer)
    assert found is not None
    assert abs(found - letters) <= 1


def test_only_the_last_message_of_the_user_loses_text() -> None:
    messages = (
        {"role": "system", "content": "s" * 40},
        {"role": "user", "content": "u" * 100},
        {"role": "assistant", "content": "a" * 40},
    )
    found = shortened(Request(messages), "too long", None)
    assert found is not None
    assert [len(message["content"]) for message in found.messages] == [40, 10, 40]
    assert shortened(Request(({"role": "system", "content": "s" * 400}, messages[1])), "too long", None) is None
    assert shortened(Request(({"role": "user", "content": ""},)), "too long", None) is None


def test_the_last_examples_are_left_out() -> None:
    turns = [{"role": role, "content": letter * 50} for letter in "abcd" for role in ("user", "assistant")]
    messages = ({"role": "system", "content": "s" * 50}, *turns, {"role": "user", "content": "q" * 50})
    request = Request(messages, examples=4)

    def shown(said: str, answer: int | None = None) -> tuple[str, int]:
        found = fewer_examples(request, said, answer)
        return "".join(str(message["content"])[0] for message in found.messages), found.examples

    assert shown("maximum context length is 100 tokens. However, you requested 105 tokens", 1) == ("saabbccq", 3)
    assert shown("maximum context length is 60 tokens. However, you requested 100 tokens", 10) == ("saaq", 1)
    assert shown("too long") == ("saaq", 1), "half of it, where nobody says how long it may be"
    assert shown("maximum context length is 10 tokens. However, you requested 100 tokens", 1) == ("sq", 0)


def test_the_schema_that_is_told_stays_whole() -> None:
    request = told_schema(Request(({"role": "user", "content": LONG},), {"type": "object"}))
    found = shortened(request, "too long", None)
    assert found is not None
    before, after = request.messages[-1]["content"], found.messages[-1]["content"]
    assert after.endswith('{"type": "object"}')
    assert len(after) == len(before) // 2
