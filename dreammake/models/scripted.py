"""Answers from a table: for examples, tests and rehearsals that need no model."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from dreammake.core.engine import Answer, Ask, EngineContext, Failure, ModelOptions
from dreammake.core.options import Anything, Float, Str
from dreammake.core.values import ModelSpec


class Scripted:
    """Answers from a table, without a model.

    The name of the model is free. `answers` is a dict or a list. A dict is searched for the last message: first for
    the whole text, then for the first pattern (a regular expression) that occurs in it; the answer may use its groups
    (`\\1`). From a list, the request's seed picks: one and the same answer for a request and its occurrence.
    Tokens are words.
    """

    version = 1
    window = 8

    class Options(ModelOptions):
        answers = Anything("Texts by prompt or pattern, or a list of texts to pick from.", default=None)
        default = Str("The answer to a prompt that `answers` does not know.", default=None)
        delay = Float("How long each answer takes.", unit="s", default=0.0, at_least=0, result=False)

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        options = spec.options
        self.window = options.get("concurrency") or self.window
        self._answers = options.get("answers")
        self._default = options.get("default")
        self._delay = options.get("delay") or 0.0
        self._pool = ThreadPoolExecutor(self.window, "scripted") if self._delay else None

    def submit(self, ask: Ask, done: Callable[[Answer], None]) -> None:
        if self._pool is None:
            done(self._answer(ask))
        else:
            self._pool.submit(lambda: done(self._answer(ask)))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _answer(self, ask: Ask) -> Answer:
        time.sleep(self._delay)
        prompt = str(ask.request.messages[-1].get("content", ""))
        text = self._find(prompt, ask.seed)
        if text is None:
            hint = "add it to the model's `answers`, or give it a `default`"
            return Answer(
                None, "error", error=Failure("no-scripted-answer", f"no answer is written for {_short(prompt)}", hint)
            )
        words = text.split()
        asked = sum(len(str(message.get("content", "")).split()) for message in ask.request.messages)
        if ask.max_tokens is not None and len(words) > ask.max_tokens:
            return Answer(" ".join(words[: ask.max_tokens]), "length", asked, ask.max_tokens, self._delay)
        return Answer(text, "stop", asked, len(words), self._delay)

    def _find(self, prompt: str, seed: int) -> str | None:
        match self._answers:
            case [_, *_] as texts:
                return str(texts[seed % len(texts)])
            case Mapping() as table:
                return self._look(table, prompt)
        return self._default

    def _look(self, table: Mapping[str, Any], prompt: str) -> str | None:
        if prompt in table:
            return str(table[prompt])
        for pattern, answer in table.items():
            with suppress(re.error):  # a text that is no pattern is only a text
                if (match := re.search(pattern, prompt)) is not None:
                    return match.expand(str(answer)) if "\\" in str(answer) else str(answer)
        return self._default


def _short(prompt: str) -> str:
    line = " ".join(prompt.split())
    return f'"{line[:60]}…"' if len(line) > 61 else f'"{line}"'
