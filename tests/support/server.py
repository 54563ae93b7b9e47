"""An OpenAI-style server on loopback that counts: what tests ask, in place of a hosted model.

    with LoopbackServer(answer=lambda body: "yes") as server:
        ...                     # a model with base_url=server.base_url
        server.requests         # the bodies, in the order in which they came
        server.count            # how many

Answers are a function of the body, so the same request has the same answer; by default they are made of a digest of
its messages, and of its seed where there is one. `latency` is in seconds, or `latency(body, number)` of the number-th
request (from 0). `trouble(body, number)` may give a `Trouble` for it, and may be set anew while it runs. `more` is put
into each answer's message. From request `hold_from` on, answers wait for `release()`. `port` is a free one if not
given, so a server can come back where one was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Trouble:
    """How a request goes wrong: by an HTTP status, by a lost connection, or by an answer that ends in the middle."""

    status: int = 200
    headers: Mapping[str, str] | None = None
    message: str = "no"
    reset: bool = False
    cut_off: bool = False
    code: str | int | None = None


def digest_answer(body: Body) -> str:
    asked = json.dumps([body["messages"], body.get("seed")], sort_keys=True)
    return f"answer {hashlib.sha256(asked.encode()).hexdigest()[:12]}"


def prompt_of(body: Body) -> str:
    """The last message's text."""
    return str(body["messages"][-1]["content"])


class LoopbackServer:
    """Starts in a thread when entered, and ends with the `with` block."""

    def __init__(
        self,
        answer: Callable[[Body], str] = digest_answer,
        latency: float | Callable[[Body, int], float] = 0.0,
        trouble: Callable[[Body, int], Trouble | None] = lambda body, number: None,
        hold_from: int | None = None,
        more: Mapping[str, Any] | None = None,
        usage: Mapping[str, Any] | None = None,
        port: int = 0,
    ) -> None:
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self.base_url = ""
        self._answer = answer
        self._latency = latency if callable(latency) else lambda body, number: latency
        self._more = more or {}
        self._usage = usage or {}
        self._port = port
        self.trouble = trouble
        self._hold_from = hold_from
        self._at_once = 0
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def count(self) -> int:
        return len(self.requests)

    @property
    def prompts(self) -> list[str]:
        return [prompt_of(body) for body in self.requests]

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have come (at most 60 s)."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, 60), f"only {self.count} requests came"

    def release(self) -> None:
        """Answer what is held, and all that follows."""
        self._hold_from = None
        self._loop.call_soon_threadsafe(self._released.set)

    def __enter__(self) -> LoopbackServer:
        self._thread.start()
        self.base_url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> str:
        from aiohttp import web

        self._released = asyncio.Event()
        app = web.Application()
        self._add_routes(app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/v1"

    def _add_routes(self, router: Any) -> None:
        router.add_post("/v1/chat/completions", self._handle)

    async def _stop(self) -> None:
        self._released.set()
        await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _handle(self, request: Any) -> Any:
        body = await request.json()
        number = self.count
        with self._changed:
            self.requests.append(body)
            self.headers.append(dict(request.headers))
            self._changed.notify_all()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if (latency := self._latency(body, number)) > 0:
                await asyncio.sleep(latency)
            if self._hold_from is not None and number >= self._hold_from:
                await self._released.wait()
            return self._reply(request, body, self.trouble(body, number))
        finally:
            self._at_once -= 1

    def _reply(self, request: Any, body: Body, trouble: Trouble | None) -> Any:
        from aiohttp import web

        if trouble is None:
            reply = completion(body, self._answer(body))
            reply["choices"][0]["message"].update(self._more)
            reply["usage"].update(self._usage)
            return web.json_response(reply)
        if trouble.reset:
            request.transport.abort()
            return web.Response()
        if trouble.cut_off:
            whole = json.dumps(completion(body, self._answer(body)))
            return web.Response(text=whole[: len(whole) // 2], content_type="application/json")
        error = {"error": {"message": trouble.message, "code": trouble.code}}
        return web.json_response(error, status=trouble.status, headers=trouble.headers)


def completion(body: Body, text: str) -> dict[str, Any]:
    """A chat completion; tokens are words, and `max_tokens` cuts."""
    words = text.split()
    limit = body.get("max_tokens")
    cut = limit is not None and len(words) > limit
    return {
        "object": "chat.completion",
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": " ".join(words[:limit]) if cut else text},
                "finish_reason": "length" if cut else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": sum(len(str(message["content"]).split()) for message in body["messages"]),
            "completion_tokens": limit if cut else len(words),
        },
    }
