"""A loopback server that answers chats and makes embeddings, and counts both."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase
from typing import Any

from tests.support.server import LoopbackServer


def letters(text: str) -> list[float]:
    """How often each letter is in a text: texts of like letters have like vectors."""
    return [float(text.lower().count(letter)) for letter in ascii_lowercase]


class EmbeddingServer(LoopbackServer):
    """`embedded` holds the texts whose vectors were asked for, in the order in which they came."""

    def __init__(self, vector: Callable[[str], list[float]] = letters, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embedded: list[str] = []
        self._vector = vector

    def _add_routes(self, router: Any) -> None:
        super()._add_routes(router)
        router.add_post("/v1/embeddings", self._embed)

    async def _embed(self, request: Any) -> Any:
        from aiohttp import web

        texts = (await request.json())["input"]
        self.embedded += texts
        data = [{"index": number, "embedding": self._vector(text)} for number, text in enumerate(texts)]
        return web.json_response({"data": data, "usage": {"prompt_tokens": len(texts)}})
