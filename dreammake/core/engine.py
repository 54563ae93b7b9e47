"""The contract of an engine: what runs a model. One file each in `models/`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from dreammake.core.options import (
    Bool,
    Dict,
    Float,
    Int,
    OptionSet,
    Str,
    Strings,
)
from dreammake.core.prices import PriceOption
from dreammake.core.values import NOTHING, ModelSpec

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to ask: chat messages, as OpenAI writes them (`{"role": ..., "content": ...}`).

    Everything else that shapes the answer (temperature, seed, ...) is in the model's options.
    `schema` is a JSON Schema that the answer should fit. `attempt` is above 0 where earlier answers to the same request
    could not be read: it makes this one another sample. With `truncate`, a request that is too long for the model is
    asked with less text at the end. `examples` pairs of messages stand before the last one: of these the last ones are
    left out first where the request is too long.
    """

    messages: tuple[Mapping[str, Any], ...]
    schema: Mapping[str, Any] | None = None
    attempt: int = 0
    truncate: bool = False
    examples: int = 0


@dataclass(frozen=True, slots=True)
class Reader:
    """How the answers of one `ask` are read.

    `fits` says whether a text can be understood; it may be called from any thread. A text that does not fit is kept in
    the cache as it is, and the request is asked again until this build has asked it `attempts` times. With `settles`
    those that are kept count, too: once there are `attempts` of them, the last one is the answer for good.
    """

    fits: Callable[[str], bool]
    attempts: int = 3
    settles: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `text` is None where the request failed; then `error` says why."""

    text: str | None
    finish_reason: str = "stop"
    """`stop`: it ended by itself; `length`: cut by `max_tokens`; `error`."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    reasoning: str | None = None
    error: Failure | None = None
    cached: bool = False
    missing: bool = False
    """Only in a dry run: it is not in the cache and would have to be asked."""
    cached_tokens: int | None = None
    """How many of `prompt_tokens` the provider had in its own cache."""
    cost: float | None = None
    """Dollars that it cost when it was asked; None where no price is known."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request has no answer: a code, a sentence, and whether every other request would fail the same way
    (`fatal`: a wrong key, a dead endpoint), so that the job stops at once."""

    code: str
    message: str
    hint: str = ""
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One request on its way to an engine: `sample` is its occurrence (0 for the first of equal requests),
    `seed` the seed for it (an engine that samples by itself uses it; `explicit_seed` says that the user gave one)."""

    request: Request
    seed: int
    explicit_seed: bool = False
    sample: int = 0
    max_tokens: int | None = None
    options: Mapping[str, Any] | None = None
    """The request options (`ModelOptions.of_request`) of this use, where they differ from the engine's spec: uses of
    one model that differ only in these share its engine."""


class ModelOptions(OptionSet):
    """What every engine takes."""

    system = Str("The system prompt, put before the messages of a step that has none.", default=None)
    temperature = Float("Randomness of sampling; 0 takes the likeliest token.", default=None, at_least=0)
    top_p = Float("Nucleus sampling: the share of probability kept.", default=None, at_least=0, at_most=1)
    max_tokens = Int("Longest answer.", unit="tokens", default=None, at_least=1)
    stop = Strings("Texts at which the answer ends.", default=None)
    seed = Int("Seed of the sampling.", default=None)
    presence_penalty = Float("Penalty on tokens that are there already.", default=None)
    frequency_penalty = Float("Penalty on tokens by how often they are there.", default=None)
    extra = Dict("More fields for the engine's request, as they are.", default=None)
    concurrency = Int("How many requests run at once.", default=None, at_least=1, result=False)
    timeout = Float("Longest wait for one answer.", unit="s", default=600.0, result=False)
    retries = Int("How often a request that failed for a passing reason is tried again.", default=5, result=False)
    price = PriceOption(
        'Dollars a million tokens: a number, or {"input": ..., "output": ..., "cached": ...}; else by a table.',
        default=None,
        result=False,
    )

    @staticmethod
    def of_request() -> tuple[str, ...]:
        """The options that each request brings along, and that a running engine need not know beforehand."""
        return tuple(name for name, option in ModelOptions.declared().items() if option.result)


class Engine(Protocol):
    """A running model. Made once a worker for each distinct `ModelSpec`, and kept for the jobs that follow.

    `window` is how many asks are worth having under way; the asking loop keeps it full and calls `submit` from
    any thread, but never from two at once. `done` may be called from any thread, once for each ask, in any order.

    An engine class may have six more things. `structured = True`: its models take a JSON Schema; those of the others
    are told of it in words (`told_schema`). `heavy = True`: it holds a model in memory, so only one is kept when
    idle. `samples = False`: equal requests have equal answers, whatever the options. `weights(spec, path) -> Path |
    None`, static: the file whose content is the model; None where the name says it all. `opened(spec, path) ->
    ModelSpec`, static: the spec that a folder of that name stands for. `settled(spec) -> ModelSpec`, static: the spec
    with what it takes from the environment filled in.
    """

    Options: ClassVar[type[ModelOptions]]
    version: ClassVar[int]
    window: int

    def submit(self, ask: Ask, done: Callable[[Answer], None]) -> None: ...

    def close(self) -> None: ...


class EmbedderOptions(OptionSet):
    """What every embedding model on this machine takes."""

    prompt = Str("A text that stands before each text: the instruction that the model was trained with.", default=None)
    normalize = Bool("Scale each vector to length 1.", default=False)
    batch_size = Int("Texts of a batch.", unit="texts", default=32, at_least=1, result=False)


class Embedder(Protocol):
    """A running embedding model: `Embedder(spec, context)`, made and kept as an `Engine` is; it may have `heavy`,
    `weights` and `settled` too.

    `embed` gives one row of float32 for each text, in their order: texts x dimensions. The same text has the same
    vector up to rounding, whatever stands beside it; so one can be kept under its text and the model's identity
    (`run.request_key.use_for`). Raises DreamError (exit code 1) where a text cannot be embedded.
    """

    Options: ClassVar[type[OptionSet]]
    version: ClassVar[int]

    def embed(self, texts: Sequence[str]) -> NDArray[float32]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine gets when it is made: `Engine(spec, context)`.

    `path` finds a project path on disk; `gpus` are the ids this job may use; `threads` its CPU threads; `shared` is a
    folder for what the processes of a build share (it is made when needed).
    """

    path: Callable[[str], Path]
    threads: int = 1
    gpus: tuple[str, ...] = ()
    say: Callable[[str], None] = field(default=print)
    shared: Path | None = None


def request_body(spec: ModelSpec, ask: Ask) -> dict[str, Any]:
    """The request as an OpenAI chat completion body (only the fields that are set)."""
    options = spec.options if ask.options is None else ask.options
    messages = [dict(message) for message in ask.request.messages]
    body: dict[str, Any] = {"model": spec.model, "messages": messages}
    for name in ("temperature", "top_p", "stop", "presence_penalty", "frequency_penalty"):
        if options.get(name) is not None:
            body[name] = options[name]
    if ask.max_tokens is not None:
        body["max_tokens"] = ask.max_tokens
    if ask.explicit_seed:
        body["seed"] = ask.seed
    if ask.request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(ask.request.schema)}
            | ({"strict": True} if _is_closed(ask.request.schema) else {}),
        }
    return {**body, **(options.get("extra") or NOTHING)}


def _is_closed(schema: Any) -> bool:
    """Does every object in a JSON Schema have just its properties, and all of them? OpenAI guarantees only these."""
    match schema:
        case {"properties": Mapping() as properties}:
            closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(properties)
            return closed and all(_is_closed(part) for part in properties.values())
        case {"type": "object"}:
            return False
        case Mapping():
            return all(_is_closed(part) for part in schema.values())
        case list():
            return all(_is_closed(part) for part in schema)
    return True


SCHEMA_WORDS = "\n\nAnswer with one JSON object that fits this JSON Schema, and with nothing else:\n"


def told_schema(request: Request) -> Request:
    """The request to a model that takes no JSON Schema: its last message tells what the answer must look like."""
    *before, last = request.messages
    schema = json.dumps(request.schema, ensure_ascii=False)
    words = f"{SCHEMA_WORDS}{schema}"
    said = last.get("content", "")
    content = [*said, {"type": "text", "text": words.lstrip()}] if isinstance(said, list) else f"{said}{words}"
    told = {**last, "content": content}
    return replace(request, messages=(*before, told), schema=None)
