"""A try of a request that failed, and what it means for the user."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dreammake.core.engine import Failure

_PASSING = frozenset({408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""HTTP answers that may be others a moment later; 429 is another."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_OVERFLOW = re.compile(
    r"context_length_exceeded|(maximum|model's|available) context (length|size|window)|context window|"
    r"(prompt|input|request|messages?) (is |are )?too long|exceeds? the (maximum|available|model's) (context|input)",
    re.IGNORECASE,
)
_WAIT_IN_TEXT = re.compile(rb'"retryDelay": ?"(?P<delay>[\d.]+)s"|try again in (?P<again>[\d.]+) ?(?P<unit>ms|s)\b')
"""Where Google and OpenAI say how long to wait, beside or instead of the header."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """`passing`: another try may go well. `crowded`: the endpoint gets too many requests. `refused`: nobody listens.
    `after`: seconds that the server asks to wait."""

    failure: Failure
    passing: bool
    after: float | None = None
    refused: bool = False
    crowded: bool = False

    def pause(self, tries: int) -> float:
        """Seconds before the next try: what the server says, else a random part of what doubles with each try."""
        if self.after is not None:
            return self.after + random.uniform(0, 0.1)
        return random.uniform(0, min(_FIRST_PAUSE * 2.0**tries, _LONGEST_PAUSE))


def refusal(
    status: int, headers: Mapping[str, str], content: bytes, model: str, url: str, variable: str = "OPENAI_API_KEY"
) -> Trouble:
    """The trouble that an HTTP status other than 200 is. `variable` is where the endpoint's key is usually found."""
    said = f"{status}: {reason(content)}" if content else f"HTTP {status}"
    match status:
        case 401 | 403:
            hint = f"set {variable}, or the model's `api_key`, to a key that this endpoint takes"
            return Trouble(Failure("bad-api-key", f"{url} refuses the key ({said})", hint, fatal=True), False)
        case 404:
            hint = "check the model's name and its `base_url`"
            return Trouble(Failure("no-such-model", f'{url} knows no "{model}" ({said})', hint, fatal=True), False)
        case 402 | 429 if status == 402 or b"insufficient_quota" in content:
            hint = "the account has no credit left; what was answered is kept"
            return Trouble(Failure("out-of-quota", f"{url} answers no more ({said})", hint, fatal=True), False)
        case 429:
            hint = "lower the model's `concurrency`, or set its `rpm`"
            failure = Failure("rate-limited", f"too many requests ({said})", hint)
            return Trouble(failure, True, wait_of(headers, content), crowded=True)
        case _ if status in _PASSING:
            after = wait_of(headers, b"")
            crowded = status == 529 or (status == 503 and after is not None)
            return Trouble(Failure("server-error", f"the server failed ({said})"), True, after, crowded=crowded)
        case 400 | 413 | 422 if (too_long := overflow(content.decode("utf-8", "replace"), said)) is not None:
            return Trouble(too_long, False)
    return Trouble(Failure("bad-request", f"the server refused the request ({said})"), False)


def overflow(answer: str, said: str) -> Failure | None:
    """The failure where an answer tells that a request is too long for the model; `said` is that answer in short."""
    if _OVERFLOW.search(answer) is None:
        return None
    hint = "shorten the prompt, lower `max_tokens`, take a model with a longer context, or say `truncate: True`"
    return Failure("context-overflow", f"the request is longer than the model takes ({said})", hint)


def reason(content: bytes) -> str:
    """What a server says in an error, in one line of at most 300 characters."""
    text = content.decode("utf-8", "replace")
    with suppress(ValueError):
        text = message_of(json.loads(text))
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:299] + "…"


def message_of(error: Any) -> str:
    """The sentence in `{"error": {"message": ...}}`, `{"error": "..."}`, `{"detail": ...}` or the like."""
    if isinstance(error, dict):
        error = error.get("error", error)
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return error if isinstance(error, str) else json.dumps(error)


def wait_of(headers: Mapping[str, str], content: bytes) -> float | None:
    """For how many seconds a server asks to wait: by a header (a number, or a date), or in its words."""
    with suppress(KeyError, ValueError):
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    after = headers.get("Retry-After") or headers.get("retry-after")
    if after:
        with suppress(ValueError):
            return max(0.0, float(after))
        from email.utils import parsedate_to_datetime

        with suppress(TypeError, ValueError):
            return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
    if said := _WAIT_IN_TEXT.search(content):
        seconds = float((said["delay"] or said["again"]).rstrip(b"."))
        return seconds / 1000 if said["unit"] == b"ms" else seconds
    return None
