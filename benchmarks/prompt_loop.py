"""The least that asking takes: a bare aiohttp loop. `prompt_loop.py URL COUNT AT_ONCE`"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp


async def main(url: str, count: int, at_once: int) -> None:
    answers: list[str] = [""] * count
    numbers = iter(range(count))

    async def worker(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = {"model": "m", "messages": [{"role": "user", "content": f"Write a line about {number}."}]}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                reply = await response.json()
            answers[number] = reply["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:
        await asyncio.gather(*(worker(session) for _ in range(at_once)))
    Path("answers.jsonl").write_text("".join(json.dumps({"answer": answer}) + "\n" for answer in answers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
