"""A build that asks nothing: a prompt whose answer is not kept is an error that names its step and row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.engine import Request
from dreammake.core.job import StepCall
from dreammake.core.values import ModelSpec

_SHOWN = 60


def offline_miss(steps: Iterable[StepCall], spec: ModelSpec, request: Request, number: int) -> DreamError:
    """The number-th request (from 0) of one of a job's steps has no answer in the cache."""
    asking = [step for step in steps if _may_ask(step, spec, request)]
    labels = [f"`{step.step} {step.name}`" if step.name else f"`{step.step}`" for step in asking]
    several = asking[0].options.get("n", 1) if len(asking) == 1 else 1
    row = number // (several if isinstance(several, int) and several > 0 else 1) + 1
    what = "a completion" if asking and all("judge" in step.options for step in asking) else f"row {row:,}"
    text = " ".join(str(request.messages[-1].get("content", "")).split())
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    message = f'{" or ".join(labels) or "the job"}: {what} has no answer in the cache of "{spec.model}": {shown}'
    hint = "build it without --offline; `dreammake -n` counts what is to be asked"
    return DreamError(Diagnostic("offline-miss", message, hint=hint), exit_code=1)


def _may_ask(step: StepCall, spec: ModelSpec, request: Request) -> bool:
    """Is it a step with this model, the beginning of whose text is in the request? A job knows no more: its steps run
    lazily, and share what they ask with."""
    values = [one for value in step.options.values() for one in (value if isinstance(value, list) else [value])]
    models = [value["$model"] for value in values if isinstance(value, dict) and "$model" in value]
    if spec.name not in [model["name"] for model in models]:
        return False
    match step.options.get("judge_prompt" if "judge" in step.options else "prompt"):
        case {"$template": str(source)}:
            beginning = source.partition("{")[0]
            return any(beginning in str(message.get("content", "")) for message in _of_user(request))
    return True


def _of_user(request: Request) -> list[Mapping[str, Any]]:
    return [message for message in request.messages if message.get("role") == "user"]
