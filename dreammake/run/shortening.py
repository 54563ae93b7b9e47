"""Requests that are longer than a model's context, made shorter by what the model's server says of them."""

from __future__ import annotations

import re
from dataclasses import replace

from dreammake.core.engine import SCHEMA_WORDS, Request

MOST_TIMES = 6
_ANSWER = 8
"""An answer of no known limit gets this part of the context."""
_SPARE = 0.95
"""Characters are no tokens: so much of what should fit is kept."""
_NUMBER = r"(\d[\d,]*)"
_LIMIT = re.compile(rf"(?:maximum|available|context|limit)\D{{0,60}}{_NUMBER}|> ?{_NUMBER}", re.IGNORECASE)


def shortened(request: Request, said: str, answer: int | None) -> Request | None:
    """The request with less at the end of its last user message. None where that has not so much text.

    Where an error names the model's limit and the request's tokens, what is left fits with an answer of `answer`
    tokens; else half is left.
    """
    at = next((at for at in range(len(request.messages) - 1, -1, -1) if request.messages[at].get("role") == "user"), -1)
    content = request.messages[at].get("content") if at >= 0 else None
    if not isinstance(content, str):
        return None
    text, words, schema = content.rpartition(SCHEMA_WORDS)
    if not words:
        text, schema = content, ""
    total = sum(len(str(message.get("content", ""))) for message in request.messages)
    left = len(text) - (total - int(total * _share(said, answer)))
    if left < 1:
        return None
    message = {**request.messages[at], "content": text[:left] + words + schema}
    return replace(request, messages=(*request.messages[:at], message, *request.messages[at + 1 :]))


def fewer_examples(request: Request, said: str, answer: int | None) -> Request:
    """The request with as many of its examples as fit, and one less at least: the first ones stay."""
    lengths = [len(str(message.get("content", ""))) for message in request.messages]
    most = int(sum(lengths) * _share(said, answer))
    left = request.examples - 1
    end = len(lengths) - 1
    while left and sum(lengths) - sum(lengths[end - 2 * (request.examples - left) : end]) > most:
        left -= 1
    gone = 2 * (request.examples - left)
    messages = (*request.messages[: end - gone], request.messages[end])
    return replace(request, messages=messages, examples=left)


def _share(said: str, answer: int | None) -> float:
    said = re.sub(r"\(\d{3}: ", "", said)  # an HTTP status is no number of tokens
    found = _LIMIT.search(said)
    if found is None:
        return 0.5
    limit = int((found[1] or found[2]).replace(",", ""))
    most = max(int(number.replace(",", "")) for number in re.findall(_NUMBER, said))
    room = limit - min(answer or limit // _ANSWER, limit // 2)
    return _SPARE * room / most if limit < most else 0.5
