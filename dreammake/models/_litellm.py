"""Providers that speak another language than OpenAI's, through litellm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.engine import Answer, Ask, Failure, request_body, told_schema
from dreammake.core.values import ModelSpec
from dreammake.models._completion import read_completion
from dreammake.models._trouble import Trouble, reason, refusal

_NAMES = """
ai21 ai21_chat aiml anthropic anthropic_text azure azure_ai baseten bedrock cerebras chutes clarifai cloudflare
codestral cohere cohere_chat custom_openai dashscope databricks datarobot deepinfra deepseek docker_model_runner
empower featherless_ai fireworks_ai friendliai galadriel gemini gigachat github github_copilot gradient_ai groq
heroku hosted_vllm huggingface hyperbolic infinity lambda_ai lemonade litellm_proxy llamafile lm_studio maritalk
meta_llama minimax mistral modelscope moonshot morph nano-gpt nebius nlp_cloud novita nscale nvidia_nim oci ollama
ollama_chat oobabooga openai_like openrouter ovhcloud perplexity petals predibase replicate sagemaker sagemaker_chat
sambanova snowflake synthetic together_ai triton v0 vercel_ai_gateway vertex_ai vertex_ai_beta vllm volcengine wandb
watsonx watsonx_text xai xinference zai
"""
_PROVIDERS = frozenset(_NAMES.split())
"""litellm's names of chat providers, to know them without its import of seconds."""
_CLASSES = re.compile(r"^((litellm\.)?\w+(Error|Timeout): )*(\w+Exception - )?")


def is_known_provider(name: str) -> bool:
    return name in _PROVIDERS


class LiteLLM:
    """Asks one model of one provider, in the words of litellm: it finds keys in the provider's own variables."""

    def __init__(self, spec: ModelSpec, key: str | None, base: str | None, timeout: float) -> None:
        self.name = spec.model
        self._spec = spec
        self._timeout = timeout
        self._litellm = _imported(spec)
        self._more: dict[str, Any] = {"timeout": timeout, "num_retries": 0, "max_retries": 0}
        self._more |= {name: value for name, value in (("api_key", key), ("api_base", base)) if value is not None}
        self._takes_schemas = self._supports_schemas()

    async def ask(self, ask: Ask) -> Answer | Trouble:
        if ask.request.schema is not None and not self._takes_schemas:
            ask = replace(ask, request=told_schema(ask.request))
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout + 1):  # litellm has its own; not every provider heeds it
                reply = await self._litellm.acompletion(**request_body(self._spec, ask), **self._more)
            content = reply.model_dump()
        except TimeoutError:
            return self._late()
        except Exception as error:
            if ask.request.schema is not None and self._refuses_schemas(error):
                self._takes_schemas = False
                return await self.ask(ask)
            return self._trouble(error)
        answer = read_completion(content, time.monotonic() - started)
        return answer or Trouble(Failure("bad-answer", "the provider's answer cannot be read"), passing=True)

    async def close(self) -> None:
        with contextlib.suppress(Exception):  # its clients; a failure to close them harms nobody
            await self._litellm.close_litellm_async_clients()

    def _supports_schemas(self) -> bool:
        try:
            return bool(self._litellm.supports_response_schema(self._spec.model))
        except Exception:
            return False

    def _refuses_schemas(self, error: Exception) -> bool:
        return getattr(error, "status_code", None) in (400, 422) and "response_format" in str(error)

    def _late(self) -> Trouble:
        hint = "raise the model's `timeout`, or lower its `concurrency`"
        return Trouble(Failure("no-answer-in-time", f"no answer within {self._timeout:g} s", hint), passing=True)

    def _trouble(self, error: Exception) -> Trouble:
        """What one of litellm's exceptions means. They are named after OpenAI's."""
        kind = type(error).__name__
        message = _plain(str(error)).encode("utf-8", "replace")
        match kind:
            case "ContextWindowExceededError":
                message = b"context_length_exceeded: " + message
            case "Timeout":
                return self._late()
            case _ if _nobody_listens(error):
                failure = Failure(
                    "endpoint-unreachable",
                    f"nothing answers for {self.name}: {reason(message)}",
                    "check that its server runs, and the model's `api_base`; the answers that came before are kept",
                    fatal=True,
                )
                return Trouble(failure, passing=True, refused=True)
        status = getattr(error, "status_code", None)
        if status == 200:
            failure = Failure("bad-answer", f"the provider's answer cannot be read: {reason(message)}")
            return Trouble(failure, passing=True)
        if not isinstance(status, int):
            return Trouble(Failure("request-failed", f"{kind}: {reason(message)}"), passing=False)
        return refusal(status, _headers_of(error), message, self.name, self.name, self._variable(status))

    def _variable(self, status: int) -> str:
        """The variable that holds the provider's key, for the hint."""
        if status not in (401, 403):
            return ""
        provider = self._spec.model.partition("/")[0]
        try:
            names = self._litellm.validate_environment(self._spec.model)["missing_keys"]
        except Exception:
            names = []
        return " and ".join(names) or f"{provider.upper()}_API_KEY"


def _imported(spec: ModelSpec) -> Any:
    """litellm, told to be quiet and to fetch nothing. Raises DreamError `needs-litellm`."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_LOG", "ERROR")
    try:
        import litellm
    except ImportError:
        fail(
            "needs-litellm",
            f'the model `{spec.name}` is "{spec.model}", which is asked through litellm, and that is not installed',
            hint="pip install 'dreammake-llm[api]'; or give the model the `base_url` of an OpenAI-style endpoint",
            exit_code=1,
        )
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    return litellm


def _headers_of(error: Exception) -> Mapping[str, str]:
    headers = getattr(error, "litellm_response_headers", None)
    response = getattr(error, "response", None)
    return headers or getattr(response, "headers", None) or {}


def _nobody_listens(error: Exception) -> bool:
    """Whether nobody listened: the cause of litellm's error, or its words, say so."""
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in ("ConnectError", "ClientConnectorError", "ConnectionRefusedError", "ConnectTimeout"):
            return True
        seen = seen.__cause__ or seen.__context__
    text = str(error).lower()
    return "cannot connect to host" in text or "connection refused" in text or "connect call failed" in text


def _plain(text: str) -> str:
    """litellm's message without the names of its classes before it."""
    return _CLASSES.sub("", text).strip()
