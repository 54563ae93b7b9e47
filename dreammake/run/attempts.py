"""Requests whose answers must be read: each is looked up attempt by attempt, past the answers that cannot be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dreammake.core.engine import Answer, Reader, Request
from dreammake.run.request_key import Use
from dreammake.run.shortening import MOST_TIMES, fewer_examples, shortened
from dreammake.store.prompt_cache import PromptCache


@dataclass(slots=True)
class Attempt:
    """One request with its key and occurrence: its first attempt, or the one that it has come to.

    `asked` counts how often this build asked for it, `shortened` how often it was made shorter; `unread` is the last of
    the kept answers that cannot be read.
    """

    request: Request
    key: bytes
    occurrence: int
    asked: int = 0
    shortened: int = 0
    unread: Answer | None = None


class Reading:
    """Looks answers up in a cache, and passes over those that a reader cannot understand."""

    def __init__(self, use: Use, cache: PromptCache, reader: Reader | None) -> None:
        self._use = use
        self._cache = cache
        self._reader = reader

    def find(self, attempts: Iterable[Attempt]) -> dict[int, Answer]:
        """The kept answers that can be read, by `id` of the attempt. The others are left at the attempt to ask."""
        found: dict[int, Answer] = {}
        wanted = all_ = list(attempts)
        while wanted:
            answers = self._cache.lookup([attempt.key for attempt in wanted], self._use.max_tokens)
            later = []
            for attempt in wanted:
                answer = answers.get(attempt.key)
                if answer is None:
                    continue
                if self.reads(answer) or self._settled(attempt):
                    found[id(attempt)] = answer
                else:
                    attempt.unread = answer
                    self._pass_over(attempt)
                    later.append(attempt)
            wanted = later
        return found | self._truncated([attempt for attempt in all_ if id(attempt) not in found])

    def _truncated(self, attempts: list[Attempt]) -> dict[int, Answer]:
        """The kept answers to what was asked in place of requests that were too long."""
        keys = {
            id(attempt): self._use.truncated(attempt.request, attempt.occurrence)
            for attempt in attempts
            if (attempt.request.truncate or attempt.request.examples) and not attempt.shortened
        }
        answers = self._cache.lookup(keys.values(), self._use.max_tokens) if keys else {}
        return {at: answers[key] for at, key in keys.items() if key in answers and self.reads(answers[key])}

    def ask_again(self, attempt: Attempt, answer: Answer) -> bool:
        """Whether a new answer leaves something to ask; then the attempt is the next one, and may be in the cache."""
        if answer.error is not None:
            return answer.error.code == "context-overflow" and self._shorten(attempt, answer.error.message)
        attempt.asked += 1
        if self._reader is None or self.reads(answer) or attempt.asked >= self._reader.attempts:
            return False
        if self._settled(attempt):
            return False
        self._pass_over(attempt)
        return True

    def _shorten(self, attempt: Attempt, said: str) -> bool:
        """Whether an attempt that is too long could be made shorter."""
        request = attempt.request
        if attempt.shortened == MOST_TIMES:
            return False
        if request.examples:
            shorter: Request | None = fewer_examples(request, said, self._use.max_tokens)
        else:
            shorter = shortened(request, said, self._use.max_tokens) if request.truncate else None
        if shorter is None:
            return False
        if not attempt.shortened:
            attempt.key = self._use.truncated(request, attempt.occurrence)
        attempt.request = shorter
        attempt.shortened += 1
        return True

    def reads(self, answer: Answer) -> bool:
        """Failed answers are none to read."""
        return self._reader is None or answer.text is None or self._reader.fits(answer.text)

    def _settled(self, attempt: Attempt) -> bool:
        """Whether an answer that cannot be read is the last that will be asked for, in any build."""
        reader = self._reader
        return reader is not None and reader.settles and attempt.request.attempt + 1 >= reader.attempts

    def _pass_over(self, attempt: Attempt) -> None:
        attempt.request, attempt.key = self._use.again(attempt.request, attempt.occurrence)
