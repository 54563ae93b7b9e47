"""Requests whose answers must be read: each is looked up attempt by attempt, past the answers that cannot be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dreammake.core.engine import Answer, Reader, Request
from dreammake.run.request_key import Use
from dreammake.store.prompt_cache import PromptCache


@dataclass(slots=True)
class Attempt:
    """One request with its key and occurrence: its first attempt, or the one that it has come to.

    `asked` counts how often this build asked for it; `unread` is the last of the kept answers that cannot be read.
    """

    request: Request
    key: bytes
    occurrence: int
    asked: int = 0
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
        wanted = list(attempts)
        while wanted:
            answers = self._cache.lookup([attempt.key for attempt in wanted], self._use.max_tokens)
            later = []
            for attempt in wanted:
                answer = answers.get(attempt.key)
                if answer is None:
                    continue
                if self.reads(answer):
                    found[id(attempt)] = answer
                else:
                    attempt.unread = answer
                    self._pass_over(attempt)
                    later.append(attempt)
            wanted = later
        return found

    def ask_again(self, attempt: Attempt, answer: Answer) -> bool:
        """Whether a new answer leaves something to ask; then the attempt is the next one, and may be in the cache."""
        attempt.asked += 1
        if self._reader is None or self.reads(answer) or attempt.asked >= self._reader.attempts:
            return False
        self._pass_over(attempt)
        return True

    def reads(self, answer: Answer) -> bool:
        """Failed answers are none to read."""
        return self._reader is None or answer.text is None or self._reader.fits(answer.text)

    def _pass_over(self, attempt: Attempt) -> None:
        attempt.request, attempt.key = self._use.again(attempt.request, attempt.occurrence)
