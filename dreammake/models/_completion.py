"""The answer in an OpenAI-style chat completion."""

from __future__ import annotations

import json
from typing import Any

from dreammake.core.engine import Answer

_FINISHED = {"eos": "stop", "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
"""Other servers' words for why an answer ended."""
_THINK, _THOUGHT = "<think>", "</think>"


def read_completion(content: bytes | str | dict[str, Any], seconds: float) -> Answer | None:
    """The first choice, or None where it is no chat completion (cut off, say)."""
    try:
        reply = content if isinstance(content, dict) else json.loads(content)
        choice = reply["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    if not isinstance(text, str):
        text = _text_of(text)
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if reasoning is None and _begins_with_reasoning(text):
        reasoning, text = _apart(text)
    usage = reply.get("usage") or {}
    ended = choice.get("finish_reason") or "stop"
    return Answer(
        text,
        _FINISHED.get(ended, ended),
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        seconds,
        reasoning,
        cached_tokens=_cached(usage),
    )


def _text_of(parts: Any) -> str:
    """The texts of an answer that comes in parts: `[{"type": "text", "text": ...}, ...]`."""
    parts = parts if isinstance(parts, list) else [parts]
    return "".join(str(part.get("text") or "") if isinstance(part, dict) else str(part) for part in parts)


def _begins_with_reasoning(text: str) -> bool:
    """Some servers leave out the mark before the reasoning; a text that has it elsewhere is about such marks."""
    return text.lstrip().startswith(_THINK) or (_THOUGHT in text and _THINK not in text)


def _apart(text: str) -> tuple[str, str]:
    """The reasoning, and the answer behind it: empty where the reasoning was cut."""
    reasoning, _, answer = text.partition(_THOUGHT)
    return reasoning.strip().removeprefix(_THINK).strip(), answer.lstrip()


def _cached(usage: dict[str, Any]) -> int | None:
    """Tokens of the prompt that the provider had in its cache: OpenAI's word for them, Anthropic's, or DeepSeek's."""
    details = usage.get("prompt_tokens_details")
    if isinstance(details, dict) and details.get("cached_tokens") is not None:
        return int(details["cached_tokens"])
    found = usage.get("cache_read_input_tokens", usage.get("prompt_cache_hit_tokens"))
    return None if found is None else int(found)
