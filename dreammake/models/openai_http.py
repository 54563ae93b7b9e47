"""Any OpenAI-style chat endpoint, straight over HTTP: one event loop in one thread, connections kept open."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dreammake.core.diagnostic import fail
from dreammake.core.engine import Answer, Ask, EngineContext, Failure, ModelOptions, request_body
from dreammake.core.options import Int, Str
from dreammake.core.values import ModelSpec, Secret
from dreammake.models._completion import read_completion
from dreammake.models._trouble import Trouble, reason, refusal

if TYPE_CHECKING:
    import aiohttp

OPENAI = "https://api.openai.com/v1"
UNREACHABLE_AFTER = 4.0
"""For how many seconds a refused connection is tried again."""


class OpenAIHTTP:
    """Any hosted model behind an OpenAI-style endpoint: OpenAI's, vLLM's, llama.cpp's, and most others.

    The endpoint is `base_url`, or the environment's OPENAI_BASE_URL, or OpenAI's for a name that begins with
    `openai/` (which is left out of the name that is sent). A request that fails for a passing reason (too many
    requests, a server's error, a lost connection) is tried again, later each time, and when the server says.
    """

    version = 1
    window = 64

    class Options(ModelOptions):
        base_url = Str("The endpoint, up to and with `/v1`.", default=None)
        api_key = Str(
            'The key; else OPENAI_API_KEY. Write env("NAME") to keep it out of the Dreamfile.',
            default=None,
            result=False,
        )
        rpm = Int("Requests a minute that are allowed.", unit="requests", default=None, at_least=1, result=False)
        tpm = Int(
            "Tokens a minute that are allowed; counted as four characters each.",
            unit="tokens",
            default=None,
            at_least=1,
            result=False,
        )

    @staticmethod
    def settled(spec: ModelSpec) -> ModelSpec:
        """The spec with its endpoint. Raises DreamError `needs-litellm` where it has none, or `bad-endpoint`."""
        url = spec.options.get("base_url") or os.environ.get("OPENAI_BASE_URL")
        if url:
            if not re.match(r"https?://[^/?#\s]+", str(url)):
                fail(
                    "bad-endpoint",
                    f"the `base_url` of the model `{spec.name}` is no address: {url}",
                    hint="write it as `http://host:port/v1`",
                )
            return spec.with_options(base_url=url if isinstance(url, Secret) else url.rstrip("/"))
        provider, slash, _ = spec.model.partition("/")
        if slash and provider != "openai":
            fail(
                "needs-litellm",
                f'the model `{spec.name}` is "{spec.model}", and there is no endpoint for `{provider}`',
                hint="give the model the `base_url` of its OpenAI-style endpoint; the rest comes with litellm, later",
            )
        return spec

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        spec = self.settled(spec)
        options = spec.options
        base = options.get("base_url")
        self._spec = spec
        self._say = context.say
        self.window = options.get("concurrency") or self.window
        self._url = f"{str(base or OPENAI).rstrip('/')}/chat/completions"
        self._model = spec.model.removeprefix("openai/")
        self._limit_field = "max_tokens" if base else "max_completion_tokens"  # OpenAI's newer models know only this
        self._headers = _headers(spec, base)
        self._retries = options.get("retries", 5)
        self._timeout = options.get("timeout", 600.0)
        self._pace = _Pace(options.get("rpm"), options.get("tpm"))
        self._arrived: deque[tuple[Ask, Callable[[Answer], None]]] = deque()
        self._awake = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-http", daemon=True)
        self._thread.start()

    def submit(self, ask: Ask, done: Callable[[Answer], None]) -> None:
        self._arrived.append((ask, done))
        if not self._awake:  # one wake-up for all that is put here before the loop looks
            self._awake = True
            self._loop.call_soon_threadsafe(self._start_arrived)

    def close(self) -> None:
        """Cancel what is under way, and end the thread."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _shut(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _start_arrived(self) -> None:
        self._awake = False
        while self._arrived:
            task = self._loop.create_task(self._answer(*self._arrived.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, ask: Ask, done: Callable[[Answer], None]) -> None:
        try:
            answer = await self._try(self._payload(ask))
        except asyncio.CancelledError:
            answer = _failed(Failure("interrupted", "the request was interrupted"))
        except Exception as error:
            answer = _failed(Failure("request-failed", f"{type(error).__name__}: {error}"))
        done(answer)

    def _payload(self, ask: Ask) -> bytes:
        body = request_body(self._spec, ask) | {"model": self._model}
        if "max_tokens" in body and self._limit_field != "max_tokens":
            body[self._limit_field] = body.pop("max_tokens")
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")

    async def _try(self, payload: bytes) -> Answer:
        """Post until there is an answer, an error that stays, or no more tries."""
        first = time.monotonic()
        tries = 0
        while True:
            await self._pace.turn(len(payload) / 4)
            reply = await self._post(payload)
            if isinstance(reply, Answer):
                return reply
            tries += 1
            again = time.monotonic() - first < UNREACHABLE_AFTER if reply.refused else tries <= self._retries
            if not (reply.passing and again):
                return _failed(reply.failure)
            await asyncio.sleep(reply.pause(tries))

    async def _post(self, payload: bytes) -> Answer | Trouble:
        import aiohttp

        started = time.monotonic()
        try:
            async with self._open().post(self._url, data=payload) as response:
                content = await response.read()
                status, headers = response.status, response.headers
        except aiohttp.ClientConnectorError as error:
            return Trouble(self._unreachable(error), passing=True, refused=True)
        except TimeoutError:
            hint = "raise the model's `timeout`, or lower its `concurrency`"
            return Trouble(Failure("no-answer-in-time", f"no answer within {self._timeout:g} s", hint), passing=True)
        except (aiohttp.ClientError, ConnectionError) as error:
            why = str(error) or type(error).__name__
            return Trouble(Failure("connection-lost", f"the connection was lost: {why}"), passing=True)
        if status != 200:
            return refusal(status, headers.get("Retry-After"), content, self._spec.model, self._url)
        answer = read_completion(content, time.monotonic() - started)
        if answer is None:
            return Trouble(
                Failure("bad-answer", f"the server's answer cannot be read: {reason(content)}"), passing=True
            )
        return answer

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.window, ttl_dns_cache=300),
                timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(30.0, self._timeout)),
                headers=self._headers,
                skip_auto_headers=("User-Agent",),
                trust_env=_behind_proxy(self._url),
            )
        return self._session

    def _unreachable(self, error: Exception) -> Failure:
        return Failure(
            "endpoint-unreachable",
            f"nothing answers at {self._url}: {getattr(error, 'strerror', None) or error}",
            "check the model's `base_url` and that its server runs; the answers that came before are kept",
            fatal=True,
        )


class _Pace:
    """Holds requests back so that no more start in a minute than are allowed."""

    def __init__(self, rpm: int | None, tpm: int | None) -> None:
        self._seconds_a_request = 60 / rpm if rpm else 0.0
        self._seconds_a_token = 60 / tpm if tpm else 0.0
        self._next = 0.0

    async def turn(self, tokens: float) -> None:
        if not (self._seconds_a_request or self._seconds_a_token):
            return
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + max(self._seconds_a_request, self._seconds_a_token * tokens)
        if start > now:
            await asyncio.sleep(start - now)


def _headers(spec: ModelSpec, base: str | None) -> dict[str, str]:
    key = spec.options.get("api_key") or os.environ.get("OPENAI_API_KEY")
    if not key and not base:
        fail(
            "missing-api-key",
            f"the model `{spec.name}` is OpenAI's, and there is no key for it",
            hint="set OPENAI_API_KEY, or give the model an `api_key`",
            exit_code=1,
        )
    headers = {"Content-Type": "application/json", "User-Agent": "dreammake"}
    return headers | {"Authorization": f"Bearer {key}"} if key else headers


def _behind_proxy(url: str) -> bool:
    """Whether the environment names a proxy; one never stands before this machine itself."""
    if urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1"):
        return False
    return any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"))


def _failed(failure: Failure) -> Answer:
    return Answer(None, "error", error=failure)
