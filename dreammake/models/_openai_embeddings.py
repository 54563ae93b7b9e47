"""Embeddings by an OpenAI-style endpoint: those of `engine: "api"`."""

from __future__ import annotations

import json
import os
import queue
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import Diagnostic, DreamError, fail
from dreammake.core.engine import Answer, Ask, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.models._dispatch import Dispatch
from dreammake.models._endpoint import HTTPEndpoint, encoded
from dreammake.models._rate import Rate, rate_file
from dreammake.models.openai_http import OPENAI, OpenAIHTTP

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

BATCH = 128
"""Texts of a request."""


class OpenAIEmbeddings:
    """Embeddings by any OpenAI-style endpoint; `extra` is for its other fields (`{"dimensions": 256}`).

    Requests go as those for answers do: by the same options, sent again where they fail for a passing reason.
    """

    version = 1
    Options = OpenAIHTTP.Options
    settled = staticmethod(OpenAIHTTP.settled)

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        spec = self.settled(spec)
        options = self.Options(spec.options)
        bases = [str(url) for url in (options.base_url, *(options.replicas or ())) if url]
        key = str(options.api_key) if options.api_key else os.environ.get("OPENAI_API_KEY")
        if not key and not bases:
            fail(
                "missing-api-key",
                f"the model `{spec.name}` is OpenAI's, and there is no key for it",
                hint="set OPENAI_API_KEY, or give the model an `api_key`",
                exit_code=1,
            )
        model = spec.model.removeprefix("openai/")
        endpoints = [_Endpoint(spec, model, base, key, options.timeout, False) for base in bases or [OPENAI]]
        file = rate_file(context.shared, endpoints[0].name, spec.model) if options.rpm or options.tpm else None
        rate = Rate(options.rpm, options.tpm, file)
        at_once = options.concurrency or 8
        self._dispatch = Dispatch(endpoints, at_once, rate, options.retries, options.patience, context.say)

    def embed(self, texts: Sequence[str]) -> NDArray[float32]:
        import numpy

        came: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()
        batches = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]
        for number, batch in enumerate(batches):
            request = Request(tuple({"content": text} for text in batch))
            self._dispatch.put(Ask(request, seed=0), partial(_put, came, number))
        found: dict[int, Any] = {}
        for _ in batches:
            number, answer = came.get()
            if answer.error is not None:
                failure = answer.error
                raise DreamError(Diagnostic(failure.code, failure.message, hint=failure.hint), exit_code=1)
            found[number] = numpy.asarray(json.loads(answer.text or "[]"), numpy.float32)
        return numpy.concatenate([found[number] for number in sorted(found)]) if found else numpy.zeros((0, 0), "f4")

    def close(self) -> None:
        self._dispatch.close()


def _put(came: queue.SimpleQueue[tuple[int, Answer]], number: int, answer: Answer) -> None:
    came.put((number, answer))


class _Endpoint(HTTPEndpoint):
    """Posts texts, and gives their vectors as JSON in the text of the answer."""

    path = "embeddings"

    def _payload(self, ask: Ask) -> bytes:
        texts = [message["content"] for message in ask.request.messages]
        return encoded({"model": self._model, "input": texts, **(self._spec.options.get("extra") or {})})

    def _read(self, content: bytes, seconds: float) -> Answer | None:
        try:
            reply = json.loads(content)
            vectors = [item["embedding"] for item in sorted(reply["data"], key=lambda item: item["index"])]
        except (ValueError, KeyError, TypeError):
            return None
        tokens = (reply.get("usage") or {}).get("prompt_tokens")
        return Answer(json.dumps(vectors), prompt_tokens=tokens, seconds=seconds)
