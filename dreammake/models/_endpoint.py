"""One OpenAI-style endpoint: what is posted there, and what comes back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dreammake.core.engine import Answer, Ask, Failure, request_body, told_schema
from dreammake.core.values import ModelSpec
from dreammake.models._completion import read_completion
from dreammake.models._trouble import Trouble, reason, refusal

if TYPE_CHECKING:
    import aiohttp
    import yarl

CONNECT_WITHIN = 10.0
"""Seconds for a connection to stand: behind a firewall nobody says no."""
_NO_SCHEMAS = re.compile(rb"response_format|json_schema|structured|guided|grammar", re.IGNORECASE)
_UNKNOWN_LIMIT = re.compile(
    rb"max_(completion_)?tokens.{0,80}(not supported|unsupported|unrecognized|unknown|extra)"
    rb"|(unsupported|unrecognized|unknown|extra).{0,80}max_(completion_)?tokens",
    re.IGNORECASE,
)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encoded(body: Mapping[str, Any]) -> bytes:
    """The body of a request."""
    return _encode(body).encode("utf-8", "replace")


class HTTPEndpoint:
    """Posts chat completions to `base`, over connections that are kept open.

    What the endpoint says that it does not take is not sent again: a JSON Schema is then told in words, and the limit
    of tokens goes under its other name.
    """

    path = "chat/completions"

    def __init__(self, spec: ModelSpec, model: str, base: str, key: str | None, timeout: float, newer: bool) -> None:
        self.name = base
        self._spec = spec
        self._model = model
        self._url = address(base, self.path)
        self._key = key
        self._timeout = timeout
        self._newer = newer
        """OpenAI's newer models know `max_completion_tokens` only, most other servers only `max_tokens`."""
        self._takes_schemas = True
        self._session: aiohttp.ClientSession | None = None
        self._address: yarl.URL | None = None
        self._proxy: str | None = None

    async def ask(self, ask: Ask) -> Answer | Trouble:
        reply = await self._post(ask)
        if isinstance(reply, bytes):
            reply = await self._post(ask)
        if isinstance(reply, bytes):
            return refusal(400, {}, reply, self._spec.model, self._url)
        return reply

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, ask: Ask) -> Answer | Trouble | bytes:
        """Bytes are an error that is worth another try at once, as the request will be written otherwise."""
        import aiohttp

        payload = self._payload(ask)
        session = self._session or self._open()
        assert self._address is not None
        started = time.monotonic()
        try:
            async with session.post(self._address, data=payload, proxy=self._proxy) as response:
                content = await response.read()
                status, headers = response.status, response.headers
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Trouble(self._unreachable(error), passing=True, refused=True)
        except TimeoutError:
            hint = "raise the model's `timeout`, or lower its `concurrency`"
            return Trouble(Failure("no-answer-in-time", f"no answer within {self._timeout:g} s", hint), passing=True)
        except (aiohttp.ClientError, ConnectionError) as error:
            why = str(error) or type(error).__name__
            return Trouble(Failure("connection-lost", f"the connection was lost: {why}"), passing=True)
        if status != 200:
            if status in (400, 422) and self._learns(content, ask):
                return content
            return refusal(status, headers, content, self._spec.model, self._url)
        return self._read(content, time.monotonic() - started) or self._unreadable(content)

    def _read(self, content: bytes, seconds: float) -> Answer | None:
        return read_completion(content, seconds)

    def _payload(self, ask: Ask) -> bytes:
        if ask.request.schema is not None and not self._takes_schemas:
            ask = replace(ask, request=told_schema(ask.request))
        body = request_body(self._spec, ask)
        body["model"] = self._model
        if self._newer and "max_tokens" in body:
            body["max_completion_tokens"] = body.pop("max_tokens")
        return encoded(body)

    def _learns(self, content: bytes, ask: Ask) -> bool:
        """Whether an error says that a field of the request is not known here, and the next one is without it."""
        if ask.request.schema is not None and self._takes_schemas and _NO_SCHEMAS.search(content):
            self._takes_schemas = False
            return True
        if ask.max_tokens is not None and _UNKNOWN_LIMIT.search(content):
            complains_of_newer = b"max_completion_tokens" in content and b"max_tokens" not in content
            if complains_of_newer == self._newer:
                self._newer = not self._newer
                return True
        return False

    def _unreadable(self, content: bytes) -> Trouble:
        """What a 200 without an answer is: some gateways put an error in it."""
        try:
            error = json.loads(content)["error"]
            code = error["code"]
        except (ValueError, KeyError, TypeError):
            error, code = None, None
        if isinstance(code, int) and 400 <= code < 600:
            return refusal(code, {}, content, self._spec.model, self._url)
        said = f"the server's answer cannot be read: {reason(content)}"
        return Trouble(Failure("bad-answer", said), passing=True)

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp
        import yarl

        headers = {"Content-Type": "application/json", "User-Agent": "dreammake"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._address = yarl.URL(self._url)
        self._proxy = proxy_of(self._url)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(CONNECT_WITHIN, self._timeout)),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self._session

    def _unreachable(self, error: Exception) -> Failure:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        through = f" through the proxy {_without_password(self._proxy)}" if self._proxy else ""
        return Failure(
            "endpoint-unreachable",
            f"nothing answers at {self._url}{through}: {why}",
            "check the model's `base_url` and that its server runs; the answers that came before are kept",
            fatal=True,
        )


def address(base: str, path: str) -> str:
    """A path below an address, whose query stays behind it: `https://host/v1?api-version=2` has one."""
    parts = urlsplit(base)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl()


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address (HTTPS_PROXY, HTTP_PROXY, but for NO_PROXY); one never
    stands before this machine itself."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if not parts.hostname or parts.hostname in ("localhost", "127.0.0.1", "::1") or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _without_password(proxy: str) -> str:
    return re.sub(r"//[^@/]*@", "//", proxy)
