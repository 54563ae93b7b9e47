"""What tells one request from another: the key under which its answer is kept, and the seed that it is asked with.

The only place where keys are made. A key is 20 bytes: 16 of the request's digest, 4 of its occurrence.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.engine import Engine, ModelOptions, Request, told_schema
from dreammake.core.fingerprint import canonical, of_value
from dreammake.core.options import Path as PathOption
from dreammake.core.values import ModelSpec, to_json
from dreammake.store.file_digests import FileDigests

EngineOf = Callable[[str], type[Engine]]
"""The engine class of a name: the catalog's, in a build."""

TO_BE_BUILT = ""
"""In place of an input's fingerprint: nobody knows it yet."""

_VERSION = 1
"""Raise it when what is in a key changes: no answer kept before is then found."""


@dataclass(frozen=True, slots=True)
class Use:
    """One model as one step uses it: what all the keys of its requests share.

    `identity` is the model without its sampling; `file` the name of its prompt cache; `options` the request options
    that are set, `max_tokens` among them.
    """

    spec: ModelSpec
    identity: Mapping[str, Any]
    file: str
    prefix: bytes
    options: Mapping[str, Any]
    structured: bool = False
    """Whether the model takes a JSON Schema."""
    samples: bool = True
    """Whether the engine's answers to equal requests may differ at all."""

    @property
    def deterministic(self) -> bool:
        """Whether equal requests have equal answers."""
        return not self.samples or self.options.get("temperature") == 0

    @property
    def max_tokens(self) -> int | None:
        return self.options.get("max_tokens")

    @property
    def seed(self) -> int | None:
        """The user's seed."""
        return self.options.get("seed")

    def complete(self, request: Request) -> Request:
        """The request with the model's system prompt, unless it has one of its own, and with its schema in words for
        a model that takes none."""
        if request.schema is not None and not self.structured:
            request = told_schema(request)
        system = self.options.get("system")
        if system is None or any(message.get("role") == "system" for message in request.messages):
            return request
        return replace(request, messages=({"role": "system", "content": str(system)}, *request.messages))

    def key(self, request: Request, occurrences: Occurrences) -> tuple[bytes, int]:
        """The key of a request and its occurrence: always 0 where sampling is deterministic."""
        digest = self.digest(request)
        occurrence = 0 if self.deterministic else occurrences.next(digest)
        return digest + occurrence.to_bytes(4, "big"), occurrence

    def digest(self, request: Request) -> bytes:
        """16 bytes of all that shapes the answer, but its occurrence and `max_tokens`."""
        said = [list(map(dict, request.messages)), request.schema]
        content = canonical([*said, request.attempt] if request.attempt else said)
        return hashlib.sha256(self.prefix + content.encode("utf-8", "surrogatepass")).digest()[:16]

    def again(self, request: Request, occurrence: int) -> tuple[Request, bytes]:
        """The next attempt at a request whose answer could not be read, and its key."""
        request = replace(request, attempt=request.attempt + 1)
        return request, self.digest(request) + occurrence.to_bytes(4, "big")

    def truncated(self, request: Request, occurrence: int) -> bytes:
        """The key of what is asked in place of a request that is too long."""
        how = "truncated" if request.truncate else "fewer examples"
        said = canonical([list(map(dict, request.messages)), request.schema, request.attempt, how])
        digest = hashlib.sha256(self.prefix + said.encode("utf-8", "surrogatepass")).digest()[:16]
        return digest + occurrence.to_bytes(4, "big")

    def seed_of(self, key: bytes, occurrence: int, attempt: int = 0) -> int:
        """The seed of the k-th equal request, 31 bits: never from its place among the others."""
        if self.seed is not None and not attempt:
            return (self.seed + occurrence) & 0x7FFFFFFF
        return int.from_bytes(hashlib.sha256(key).digest()[:4], "big") & 0x7FFFFFFF


def use_for(
    spec: ModelSpec,
    engine_of: EngineOf,
    identities: Mapping[str, str],
    digests: FileDigests,
    path: Callable[[str], Path],
    *,
    embeds: bool = False,
) -> Use:
    """How a step uses a model, for its answers or its embeddings.

    An option that has its default, and one that changes no answer, is in no key. `identities` are fingerprints of the
    job's inputs by path (TO_BE_BUILT for one that is not there yet), `digests` finds those of other models on this
    machine, `path` a project path on disk. Raises KeyError where the model, or its adapter, is still to be built,
    DreamError where its file is missing, or where it is an embedding model and `embeds` is not said.
    """
    engine = engine_of(spec.engine)
    if hasattr(engine, "embed") and not embeds:
        fail(
            "not-a-chat-model",
            f"the model `{spec.name}` makes embeddings, and is asked for an answer",
            hint="take a model of another engine here",
        )
    model = _of_input(spec.model, identities)
    if opened := getattr(engine, "opened", None):
        named, spec = spec.model, opened(spec, path)
        model = model if spec.model == named else None
    if settled := getattr(engine, "settled", None):
        spec = settled(spec)
    if model is None:
        weights = engine.weights(spec, path) if hasattr(engine, "weights") else None
        model = digests.of(weights) if weights else spec.model
    declared = engine.Options.declared()
    given = {name: value for name, value in spec.options.items() if value is not None}
    of_request = {name: given[name] for name in ModelOptions.of_request() if name in given}
    own = {
        name: _content(value, identities, digests, path) if isinstance(declared[name], PathOption) else value
        for name, value in given.items()
        if name not in of_request and declared[name].result and value != declared[name].default
    }
    identity = {
        "engine": spec.engine,
        "version": engine.version,
        "model": model,
        "options": to_json(own),
    }
    in_key = {name: value for name, value in of_request.items() if name not in ("system", "max_tokens")}
    prefix = hashlib.sha256(canonical([_VERSION, identity, to_json(in_key)]).encode("utf-8", "surrogatepass")).digest()
    return Use(
        spec,
        identity,
        f"{_slug(spec.model)}-{of_value(identity)[:8]}.sqlite",
        prefix,
        of_request,
        getattr(engine, "structured", False),
        getattr(engine, "samples", True),
    )


def _of_input(name: str, identities: Mapping[str, str]) -> str | None:
    """The fingerprint of an input of the job; None for what is none. Raises KeyError where it is still to be built."""
    found = identities.get(name, identities.get(name.rstrip("/")))
    if found == TO_BE_BUILT:
        raise KeyError(name)
    return found


def _content(name: str, identities: Mapping[str, str], digests: FileDigests, path: Callable[[str], Path]) -> str:
    """What is at a path: an adapter, say. A name of a hub, or a text in place of a path, stands for itself."""
    found = _of_input(name, identities)
    if found is None and name:
        with suppress(OSError, ValueError):
            found = digests.of(path(name))
    return name if found is None else found


class Occurrences:
    """Counts equal requests of one `ask`: 0 for the first, 1 for the second, ...

    Only 64 bits of each digest are kept, so that a million requests take some 80 MB; two that share them by chance
    would be told apart needlessly, the same way each time.
    """

    def __init__(self) -> None:
        self._once: set[int] = set()
        self._more: dict[int, int] = {}

    def next(self, digest: bytes) -> int:
        short = int.from_bytes(digest[:8], "big")
        if short not in self._once:
            self._once.add(short)
            return 0
        count = self._more[short] = self._more.get(short, 0) + 1
        return count


def engine_key(use: Use) -> str:
    """What two uses share that share a running engine: the model by content, and all but the request options."""
    spec = engine_spec(use.spec)
    return canonical([use.identity, spec.model, to_json(spec.options)])


def engine_spec(spec: ModelSpec) -> ModelSpec:
    """The spec that an engine is made with: without request options, which each ask brings along."""
    of_request = ModelOptions.of_request()
    return replace(spec, options={name: value for name, value in spec.options.items() if name not in of_request})


def _slug(model: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.")
    return name[-60:].lstrip("-.") or "model"
