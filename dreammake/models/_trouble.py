"""A try of an HTTP request that failed, and what it means for the user."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dreammake.core.engine import Failure

_PASSING = frozenset({408, 409, 425, 500, 502, 503, 504, 520, 522, 524, 529})
"""HTTP answers that may be others a moment later; 429 is another."""
_LONGEST_PAUSE = 60.0
_LONGEST_ASKED_FOR = 600.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """`passing`: another try may go well. `after`: seconds that the server asks to wait. `refused`: nobody listens."""

    failure: Failure
    passing: bool
    after: float | None = None
    refused: bool = False

    def pause(self, tries: int) -> float:
        """Seconds before the next try: what the server says, else twice as long each time; with a random part."""
        if self.after is not None:
            return min(self.after, _LONGEST_ASKED_FOR) + random.uniform(0, 0.1)
        return min(0.5 * 2.0 ** (tries - 1), _LONGEST_PAUSE) * random.uniform(0.5, 1.0)


def refusal(status: int, after: str | None, content: bytes, model: str, url: str) -> Trouble:
    """The trouble that an HTTP status other than 200 is. `after`: the header Retry-After."""
    said = f"{status}: {reason(content)}" if content else f"HTTP {status}"
    match status:
        case 401 | 403:
            hint = "set OPENAI_API_KEY, or the model's `api_key`, to a key that this endpoint takes"
            return Trouble(Failure("bad-api-key", f"{url} refuses the key ({said})", hint, fatal=True), False)
        case 404:
            hint = "check the model's name and its `base_url`"
            return Trouble(Failure("no-such-model", f'{url} knows no "{model}" ({said})', hint, fatal=True), False)
        case 429 if b"insufficient_quota" in content:
            hint = "the account has no credit left; what was answered is kept"
            return Trouble(Failure("out-of-quota", f"{url} answers no more ({said})", hint, fatal=True), False)
        case 429:
            hint = "lower the model's `concurrency`, or set its `rpm`"
            return Trouble(Failure("rate-limited", f"too many requests ({said})", hint), True, _seconds(after))
        case _ if status in _PASSING:
            return Trouble(Failure("server-error", f"the server failed ({said})"), True, _seconds(after))
    return Trouble(Failure("bad-request", f"the server refused the request ({said})"), False)


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


def _seconds(after: str | None) -> float | None:
    """Retry-After in seconds: it is a number, or a date."""
    if not after:
        return None
    with suppress(ValueError):
        return max(0.0, float(after))
    from email.utils import parsedate_to_datetime

    with suppress(TypeError, ValueError):
        return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
    return None
