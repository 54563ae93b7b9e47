"""An OpenAI-style server that costs next to nothing: for benchmarks, in a process of its own.

python benchmarks/prompt_server.py --latency 0.1 --slow-every 20 --slow 2.0

Prints its port, and serves until its standard input ends. `GET /` gives `{"count": ..., "first": ...}`: how many
prompts came since the last GET, and when the first did (Unix time, in seconds).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

_ANSWER = json.dumps(
    {
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "An answer of six words."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 6},
    }
).encode()


class Server:
    def __init__(self, latency: float, slow_every: int, slow: float) -> None:
        self.latency = latency
        self.slow_every = slow_every
        self.slow = slow
        self.count = 0
        self.first = 0.0

    def delay(self) -> float:
        """Count a prompt, and say how long it takes."""
        self.first = self.first or time.time()
        self.count += 1
        return self.slow if self.slow_every and self.count % self.slow_every == 0 else self.latency

    def told(self) -> bytes:
        told = json.dumps({"count": self.count, "first": self.first}).encode()
        self.count, self.first = 0, 0.0
        return told


class _Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._arrived = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        head, end, body = self._arrived.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET"):
            self._arrived = b""
            self._reply(self._server.told())
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        if len(body) < int(lower[at:].split(b"\r\n", 1)[0]):
            return
        self._arrived = b""
        delay = self._server.delay()
        if delay:
            self._loop.call_later(delay, self._reply, _ANSWER)
        else:
            self._reply(_ANSWER)

    def _reply(self, content: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
        self._transport.write(head + content)


async def _serve(server: Server) -> None:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--slow-every", type=int, default=0)
    parser.add_argument("--slow", type=float, default=2.0)
    arguments = parser.parse_args()
    asyncio.run(_serve(Server(arguments.latency, arguments.slow_every, arguments.slow)))


if __name__ == "__main__":
    main()
