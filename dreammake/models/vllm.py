"""Models run by vLLM: its own server, started for the build and ended with it, or one that runs already."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import DreamError, fail
from dreammake.core.engine import Answer, Ask, EngineContext, Failure, ModelOptions
from dreammake.core.fingerprint import canonical
from dreammake.core.options import Bool, Choice, Float, Int, OneOrMore, Str, Strings
from dreammake.core.options import Path as PathOption
from dreammake.core.values import ModelSpec
from dreammake.models._local_model import content_of
from dreammake.models._shared_server import SharedServer
from dreammake.models._vllm_command import command_of
from dreammake.models.openai_http import OpenAIHTTP

Done = Callable[[Answer], None]

_LOST = frozenset({"endpoint-unreachable", "connection-lost", "interrupted"})
"""How a request fails when its server is gone."""
_LOOK_EVERY = 0.1


@dataclass(eq=False, slots=True)
class _Item:
    """A request under way, and how many servers died while they had it."""

    ask: Ask
    done: Done
    deaths: int = 0


class VLLM:
    """Runs a model folder or a model of the Hub with vLLM, or asks a vLLM server at `base_url`.

    Without `base_url`, `vllm serve` is started when the first job of a build needs the model. One server serves all
    jobs that use the model with the same options, in all processes of the build, and ends with the build, even when
    that is killed. It runs on the GPUs of the job that started it (`resources: gpus: 2`), split over them all. A
    server that nobody uses makes room for one that wants the same GPUs. One that dies is started again, and what was
    under way is asked again; a request that two servers die of is an error of its row.

    vLLM wants other versions of its libraries than training does: give it an environment of its own, and say where
    its interpreter is by `python`. Each request has its seed, so samples repeat as far as the hardware does.
    """

    version = 1
    window = 256
    structured = True

    class Options(ModelOptions):
        base_url = OneOrMore("A server that runs already, up to and with `/v1`; nothing is started.", default=None)
        replicas = OneOrMore("More servers of the same model, beside `base_url`.", default=None, result=False)
        api_key = Str("The key of the server at `base_url`.", default=None, result=False)
        python = Str(
            "The interpreter of the environment that vLLM is in; by default dreammake's own.",
            default=None,
            result=False,
        )
        dtype = Choice(
            "Type of the weights; `auto` is what the model was saved in, with float32 as float16 or bfloat16.",
            "auto",
            "float32",
            "bfloat16",
            "float16",
            default="auto",
        )
        quantization = Str("vLLM's method for weights in fewer bits: awq, gptq, fp8, bitsandbytes, …", default=None)
        adapter = PathOption("A LoRA adapter on the model: a folder, a target.", default=None)
        chat_template = PathOption("The chat template in place of the model's: a file, or its text.", default=None)
        revision = Str("Branch, tag or commit on the Hub.", default=None)
        trust_remote_code = Bool("Run code that comes with the model.", default=False)
        max_model_len = Int("Longest prompt and answer together.", unit="tokens", default=None, at_least=1)
        tensor_parallel_size = Int(
            "Over how many GPUs the model is split; by default all that the job has.",
            unit="GPUs",
            default=None,
            at_least=1,
            result=False,
        )
        gpu_memory_utilization = Float(
            "The share of each GPU's memory that vLLM takes.", default=None, at_least=0, at_most=1, result=False
        )
        arguments = Strings("More arguments of `vllm serve`, as they are.", default=None)
        startup_timeout = Float("Longest wait until the server is ready.", unit="s", default=900.0, result=False)

    @staticmethod
    def settled(spec: ModelSpec) -> ModelSpec:
        return OpenAIHTTP.settled(spec) if spec.options.get("base_url") else spec

    @staticmethod
    def weights(spec: ModelSpec, path: Callable[[str], Path]) -> Path | None:
        return None if spec.options.get("base_url") else content_of(spec, path)

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        self._spec = spec = self.settled(spec)
        options = {name: option.default for name, option in self.Options.declared().items()} | dict(spec.options)
        self._context = context
        self.window = options["concurrency"] or self.window
        self._items: set[_Item] = set()
        self._held: list[_Item] = []
        """Requests that wait for a server; all others of `_items` are with `_http`."""
        self._changed = threading.Condition()
        self._http: OpenAIHTTP | None = None
        self._answered_since_start = False
        self._closed = False
        self._server: SharedServer | None = None
        if options["base_url"]:
            self._http = OpenAIHTTP(_asked_at(spec, None), context)
            self.window = self._http.window
            return
        self._server = _server_of(spec, options, context)
        self._server.folder.mkdir(parents=True, exist_ok=True)
        self._server.use()
        try:
            self._http = OpenAIHTTP(_asked_at(spec, self._server.start()), context)
        finally:
            self._server.rest()
        self._thread = threading.Thread(target=self._watch, name="vllm", daemon=True)
        self._thread.start()

    def submit(self, ask: Ask, done: Done) -> None:
        if self._server is None:
            assert self._http is not None
            self._http.submit(ask, done)
            return
        # Else vLLM draws from one stream for all requests, and an answer depends on what runs beside it.
        item = _Item(replace(ask, explicit_seed=True), done)
        with self._changed:
            if not self._items:
                self._server.use()
            self._items.add(item)
        self._send(item)

    def close(self) -> None:
        """Answer what is under way as interrupted; end the server, unless another job uses it."""
        with self._changed:
            self._closed = True
            http, self._http = self._http, None
            self._changed.notify_all()
        if http is not None:
            http.close()
        if self._server is None:
            return
        self._thread.join()
        for item in list(self._items):
            self._finish(item, _failed(Failure("interrupted", "the request was interrupted")))
        self._server.rest()
        self._server.stop_if_unused()

    def _send(self, item: _Item) -> None:
        with self._changed:
            http = self._http
            if http is None:
                self._held.append(item)
                self._changed.notify_all()
                return
        http.submit(item.ask, partial(self._came, item, http))

    def _came(self, item: _Item, http: OpenAIHTTP, answer: Answer) -> None:
        """An answer came, or the request was lost with its server: then it waits for the next one."""
        lost = answer.error is not None and answer.error.code in _LOST
        assert self._server is not None
        if not lost or (self._http is http and self._server.alive) or self._closed:
            if not lost:
                self._answered_since_start = True
            self._finish(item, answer)
            return
        item.deaths += 1
        if item.deaths > 1:
            hint = f"the log of the server is {self._server.folder / 'log'}"
            message = "the server ended twice while it had this request"
            self._finish(item, _failed(Failure("server-failed", message, hint)))
            return
        with self._changed:
            self._held.append(item)
            self._changed.notify_all()

    def _finish(self, item: _Item, answer: Answer) -> None:
        with self._changed:
            self._items.discard(item)
            if not self._items and self._server is not None:
                self._server.rest()
        item.done(answer)

    def _watch(self) -> None:
        """Wait for the server's end, and start it again when there is something to ask."""
        assert self._server is not None
        while not self._closed:
            if self._http is not None and self._server.alive:
                with self._changed:
                    self._changed.wait(_LOOK_EVERY)
                continue
            with self._changed:
                http, self._http = self._http, None
            if http is not None:
                http.close()  # what is under way comes back as interrupted, and is held
            with self._changed:
                self._changed.wait_for(lambda: self._held or self._closed)
            if not self._closed:
                self._start_again()

    def _start_again(self) -> None:
        assert self._server is not None
        died_of_use = any(item.deaths for item in self._held)
        if died_of_use:
            self._context.say("the vLLM server ended; what was under way is asked again")
        try:
            if died_of_use and not self._answered_since_start:
                raise self._server.failed("ended twice without an answer")
            self._answered_since_start = False
            http = OpenAIHTTP(_asked_at(self._spec, self._server.start()), self._context)
        except DreamError as error:
            found = error.diagnostics[0]
            last = found.notes[-1].message if found.notes else ""
            message = f"{found.message}: {last}" if last else found.message
            self._give_up(Failure(found.code, message, found.hint, fatal=True))
            return
        with self._changed:
            self._http = http
            held, self._held = self._held, []
        for item in held:
            self._send(item)

    def _give_up(self, failure: Failure) -> None:
        with self._changed:
            held, self._held = self._held, []
        for item in held:
            self._finish(item, _failed(failure))


def _asked_at(spec: ModelSpec, address: str | None) -> ModelSpec:
    """The model as the HTTP client asks it: only with the client's options."""
    known = OpenAIHTTP.Options.declared()
    options = {name: value for name, value in spec.options.items() if name in known}
    if address is not None:
        options["base_url"] = f"{address}/v1"
    return replace(spec, model=spec.model, options=options)


def _server_of(spec: ModelSpec, options: Mapping[str, Any], context: EngineContext) -> SharedServer:
    """The server of a model; equal ones have one folder. Raises DreamError `missing-package` or `no-such-file`."""
    python = _interpreter(spec, options, context)
    gpus = frozenset(part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip())
    build = command_of(spec, options, context)
    shared = context.shared
    in_build = shared is not None
    if shared is None:
        import tempfile

        shared = Path(tempfile.mkdtemp(prefix="dreammake-"))
    key = hashlib.sha256(canonical([python, build(0)]).encode()).hexdigest()[:12]
    return SharedServer(
        (shared / f"vllm-{key}").absolute(),
        f"the vLLM server of `{spec.name}`",
        lambda port: [python, *build(port)],
        _environment(own=options["python"] is None),
        os.getppid() if in_build else os.getpid(),
        gpus,
        options["startup_timeout"],
        context.say,
    )


def _interpreter(spec: ModelSpec, options: Mapping[str, Any], context: EngineContext) -> str:
    if options["python"] is not None:
        place = context.path(str(Path(options["python"]).expanduser()))
        if place.is_file():
            return str(place.absolute())
        fail(
            "no-such-file",
            f"`python` of the model `{spec.name}` is {options['python']}, which is not there",
            hint="give the interpreter of the environment that vLLM is in: envs/vllm/bin/python",
        )
    if find_spec("vllm") is None:
        fail(
            "missing-package",
            f"the model `{spec.name}` needs vLLM, which is not installed beside dreammake",
            hint="make an environment for it (python -m venv envs/vllm; envs/vllm/bin/pip install vllm), and give its "
            'interpreter to the model: python: "envs/vllm/bin/python"; or give the `base_url` of a server',
            exit_code=1,
        )
    return sys.executable


def _environment(*, own: bool) -> dict[str, str]:
    """That of the job. What leads Python to dreammake's packages is not for another interpreter."""
    hidden = () if own else ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    found = {name: value for name, value in os.environ.items() if name not in hidden}
    return {"VLLM_NO_USAGE_STATS": "1", **found}


def _failed(failure: Failure) -> Answer:
    return Answer(None, "error", error=failure)
