"""Asks an engine directly, without caches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dreammake.core.engine import Answer, Ask, EngineContext, Failure, Request
from dreammake.core.values import ModelSpec
from dreammake.models.openai_http import OpenAIHTTP


@contextmanager
def engine(
    model: str = "openai/m", shared: Path | None = None, said: list[str] | None = None, **options: Any
) -> Iterator[OpenAIHTTP]:
    say = (lambda line: None) if said is None else said.append
    context = EngineContext(path=Path, shared=shared, say=say)
    made = OpenAIHTTP(ModelSpec("teacher", model, "api", options), context)
    try:
        yield made
    finally:
        made.close()


def asked(prompt: str, schema: dict[str, Any] | None = None, **of_ask: Any) -> Ask:
    return Ask(Request(({"role": "user", "content": prompt},), schema), seed=1, **of_ask)


def answers(made: OpenAIHTTP, asks: list[str] | list[Ask], **of_ask: Any) -> list[Answer]:
    """The answers to prompts that are all under way at once."""
    found: dict[int, Answer] = {}
    all_there = threading.Event()

    def keep(number: int) -> Callable[[Answer], None]:
        def done(answer: Answer) -> None:
            assert number not in found
            found[number] = answer
            if len(found) == len(asks):
                all_there.set()

        return done

    for number, ask in enumerate(asks):
        made.submit(asked(ask, **of_ask) if isinstance(ask, str) else ask, keep(number))
    assert all_there.wait(60)
    return [found[number] for number in range(len(asks))]


def failure(answer: Answer) -> Failure:
    assert answer.text is None and answer.error is not None
    return answer.error
