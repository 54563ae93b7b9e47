"""The engine that answers from a table."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.engine import Answer, Ask, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.models.scripted import Scripted


def ask(prompt: str, seed: int = 1, max_tokens: int | None = None, **options: Any) -> Answer:
    made = Scripted(ModelSpec("poet", "any name", "scripted", options), EngineContext(path=Path))
    found: list[Answer] = []
    done = threading.Event()
    messages = ({"role": "system", "content": "be brief"}, {"role": "user", "content": prompt})
    made.submit(Ask(Request(messages), seed, max_tokens=max_tokens), lambda answer: (found.append(answer), done.set()))
    assert done.wait(60)
    made.close()
    return found[0]


TABLE = {"hello": "exact", "h(.)llo": r"the \1", "((": "no pattern"}


@pytest.mark.parametrize(
    ("prompt", "text"),
    [("hello", "exact"), ("say hallo twice", "the a"), ("((", "no pattern"), ("else", "default")],
)
def test_texts_come_before_patterns_and_the_default_last(prompt: str, text: str) -> None:
    assert ask(prompt, answers=TABLE, default="default").text == text


def test_the_seed_picks_from_a_list() -> None:
    assert [ask("p", seed, answers=["a", "b", "c"]).text for seed in range(4)] == ["a", "b", "c", "a"]


def test_tokens_are_words() -> None:
    answer = ask("one two", default="three words here", delay=0.001)
    assert (answer.finish_reason, answer.prompt_tokens, answer.completion_tokens) == ("stop", 4, 3)
    answer = ask("one two", default="three words here", max_tokens=2)
    assert (answer.text, answer.finish_reason, answer.completion_tokens) == ("three words", "length", 2)


def test_what_no_line_knows_is_a_failure() -> None:
    answer = ask("who?", answers={"z": "b"})
    assert answer.text is None and answer.error is not None
    assert answer.error.message == 'no answer is written for "who?"'
    assert not answer.error.fatal
