"""Hosted models: OpenAI-style chat endpoints straight over HTTP, every other provider through litellm."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.engine import Answer, Ask, EngineContext, ModelOptions
from dreammake.core.hosted_model import hosted_in, is_model_folder
from dreammake.core.options import Float, Int, OneOrMore, Str, Wrong, describe
from dreammake.core.values import ModelSpec
from dreammake.models._dispatch import Dispatch, Endpoint
from dreammake.models._endpoint import HTTPEndpoint
from dreammake.models._litellm import LiteLLM, is_known_provider
from dreammake.models._rate import Rate, rate_file

OPENAI = "https://api.openai.com/v1"
_ADDRESS = re.compile(r"https?://[^/?#\s]+")
_WRITE_IT = "write it as `http://host:port/v1`"


class Addresses(OneOrMore):
    """One endpoint, or several."""

    takes = "an address, or a list of addresses"

    def read(self, value: Any) -> Any:
        value = super().read(value)
        for url in _listed(value):
            if not _ADDRESS.match(url):
                raise Wrong(f"`{self.name}` takes an address, not {describe(url)}", _WRITE_IT, "bad-endpoint")
        return value


class OpenAIHTTP:
    """Any hosted model: behind an OpenAI-style endpoint (OpenAI's, vLLM's, llama.cpp's, and most others), or behind
    any provider that litellm knows.

    A model with a `base_url` is asked there directly. So is one whose name begins with `openai/` (which is left out of
    the name that is sent) or with no provider, at OPENAI_BASE_URL or else OpenAI's own endpoint. A name that begins
    with another provider (`anthropic/...`, `ollama/...`) goes through litellm, with the provider's own variables.

    A list as `base_url` is copies of one model, which share one queue: who is free takes the next request, and an
    address that is gone is left out while others live. The first of the list stands for the model in the cache, so
    adding copies asks nothing again; copies under `replicas` do not even make a target stale.

    A request that fails for a passing reason (a server's error, a lost connection) is tried again, later each time.
    Where the endpoint refuses requests as too many, they wait for as long as it says, and fewer are sent at once.
    A folder that `train openai` made is asked under the name and at the endpoint that it holds.
    `rpm` and `tpm` are limits of the whole build; `concurrency` is of each job and each address.
    """

    version = 1
    window = 64
    structured = True

    class Options(ModelOptions):
        base_url = Addresses("The endpoint, up to and with `/v1`; or several that serve the same model.", default=None)
        replicas = Addresses("More endpoints that serve the same model.", default=None, result=False)
        api_base = Str("Where litellm finds the provider, if elsewhere than usual.", default=None)
        api_key = Str(
            'The key; else OPENAI_API_KEY, or the provider\'s variable. Write env("NAME") to keep it out of the '
            "Dreamfile.",
            default=None,
            result=False,
        )
        rpm = Int("Requests a minute that are allowed.", unit="requests", default=None, at_least=1, result=False)
        tpm = Int(
            "Tokens a minute that are allowed; guessed before a request (four characters each), corrected after it.",
            unit="tokens",
            default=None,
            at_least=1,
            result=False,
        )
        patience = Float(
            "For how long a request is tried that the endpoint refuses as too many.",
            unit="s",
            default=3600.0,
            at_least=0,
            result=False,
        )

    @staticmethod
    def opened(spec: ModelSpec, path: Callable[[str], Path]) -> ModelSpec:
        """A folder stands for the hosted model that it names. Raises DreamError `wrong-engine` for one with weights."""
        folder = path(spec.model)
        hosted = hosted_in(folder)
        if hosted is not None:
            options = {"base_url": hosted.base_url} | dict(spec.options)
            return replace(spec, model=hosted.model, options=options)
        if not spec.options.get("base_url") and is_model_folder(folder):
            fail(
                "wrong-engine",
                f"the model `{spec.name}` is the folder {spec.model}, and the engine `api` asks hosted models only",
                hint='say what runs it on this machine: `engine: "transformers"`, or `"vllm"`',
                exit_code=1,
            )
        return spec

    @staticmethod
    def settled(spec: ModelSpec) -> ModelSpec:
        """The spec with its endpoint, if it has one: `base_url` is one address, `replicas` the others. Raises
        DreamError `bad-endpoint`."""
        urls = [*_listed(spec.options.get("base_url")), *_listed(spec.options.get("replicas"))]
        if not urls and not _through_litellm(spec.model):
            urls = _listed(os.environ.get("OPENAI_BASE_URL") or None)
        if not urls:
            return spec
        for url in urls:
            _check_address(spec, str(url))
        first, *others = (str(url).rstrip("/") for url in urls)
        spec = spec.with_options(base_url=first)
        return spec.with_options(replicas=others) if others else spec

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        spec = self.settled(spec)
        options = OpenAIHTTP.Options(spec.options)
        endpoints = _endpoints(spec, options)
        at_once = options.concurrency or self.window
        self.window = at_once * len(endpoints)
        file = rate_file(context.shared, endpoints[0].name, spec.model) if options.rpm or options.tpm else None
        rate = Rate(options.rpm, options.tpm, file)
        self._dispatch = Dispatch(endpoints, at_once, rate, options.retries, options.patience, context.say)

    def submit(self, ask: Ask, done: Callable[[Answer], None]) -> None:
        self._dispatch.put(ask, done)

    def close(self) -> None:
        """Answer what is under way as interrupted, and end the thread."""
        self._dispatch.close()


def _endpoints(spec: ModelSpec, options: Any) -> list[Endpoint]:
    """Raises DreamError `missing-api-key` or `needs-litellm`."""
    key = None if options.api_key is None else str(options.api_key)
    bases = [str(url).rstrip("/") for url in (*_listed(options.base_url), *_listed(options.replicas))]
    if not bases and _through_litellm(spec.model):
        return [LiteLLM(spec, key, options.api_base, options.timeout)]
    key = key or os.environ.get("OPENAI_API_KEY")
    if not key and not bases:
        fail(
            "missing-api-key",
            f"the model `{spec.name}` is OpenAI's, and there is no key for it",
            hint="set OPENAI_API_KEY, or give the model an `api_key`",
            exit_code=1,
        )
    model = spec.model.removeprefix("openai/")
    newer = not bases or bases == [OPENAI]
    return [HTTPEndpoint(spec, model, base, key, options.timeout, newer) for base in bases or [OPENAI]]


def _through_litellm(model: str) -> bool:
    """Whether a model that has no endpoint of its own is asked through litellm."""
    provider, slash, _ = model.partition("/")
    if not slash or provider == "openai":
        return False
    return is_known_provider(provider) or not os.environ.get("OPENAI_BASE_URL")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _check_address(spec: ModelSpec, url: str) -> None:
    if not _ADDRESS.match(url):
        fail(
            "bad-endpoint",
            f"the `base_url` of the model `{spec.name}` is no address: {url}",
            hint=_WRITE_IT,
        )
