"""The answer in an OpenAI-style chat completion."""

from __future__ import annotations

import json
from typing import Any

from dreammake.core.engine import Answer

_FINISHED = {"eos": "stop", "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
"""Other servers' words for why an answer ended."""


def read_completion(content: bytes | str | dict[str, Any], seconds: float) -> Answer | None:
    """The first choice, or None where it is no chat completion (cut off, say)."""
    try:
        reply = content if isinstance(content, dict) else json.loads(content)
        choice = reply["choices"][0]
        message = choice["message"]
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    usage = reply.get("usage") or {}
    ended = choice.get("finish_reason") or "stop"
    return Answer(
        message.get("content") or "",
        _FINISHED.get(ended, ended),
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        seconds,
        message.get("reasoning_content") or message.get("reasoning"),
    )
