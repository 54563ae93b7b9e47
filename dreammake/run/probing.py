"""What a dry run has instead of asking: it looks answers up, counts what would be asked, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Answer, Reader, Request
from dreammake.core.prices import price_of
from dreammake.core.values import NOTHING, ModelSpec
from dreammake.plan.estimate import Pace
from dreammake.run.asking import CHUNK
from dreammake.run.attempts import Attempt, Reading
from dreammake.run.request_key import EngineOf, Occurrences, Use, use_for
from dreammake.store.file_digests import FileDigests
from dreammake.store.prompt_cache import PromptCache, Typical

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

_GUESSED_ANSWER = 200.0
"""Tokens of an answer of a model that has answered nothing yet."""


@dataclass(slots=True)
class Probe:
    """What one step would ask of one model, counted while its rows are read.

    `characters` are those of the prompts to run. `exact` is false where the model is still to be built.
    """

    spec: ModelSpec
    total: int = 0
    cached: int = 0
    characters: int = 0
    exact: bool = True
    typical: Typical = field(default_factory=Typical)
    window: int = 1

    @property
    def to_run(self) -> int:
        return self.total - self.cached

    @property
    def prompt_tokens(self) -> float:
        """About four characters a token."""
        return self.characters / 4

    @property
    def completion_tokens(self) -> float:
        limit = self.spec.options.get("max_tokens")
        each = self.typical.completion_tokens or _GUESSED_ANSWER
        return self.to_run * (min(each, limit) if limit else each)

    @property
    def tokens(self) -> int:
        return round(self.prompt_tokens + self.completion_tokens)

    @property
    def cost(self) -> float | None:
        """Dollars; None where no price of the model is known, or it costs nothing."""
        price = price_of(self.spec)
        return None if price is None or price.free else price.cost(self.prompt_tokens, self.completion_tokens)

    @property
    def seconds(self) -> float | None:
        """None where no answer of the model tells how long one takes."""
        each = self.typical.seconds
        return None if each is None or not self.to_run else max(1.0, self.to_run / self.window) * each


class Prober:
    """Looks requests up and asks nothing: a request that is not in the cache gets an answer that is `missing`.

    `probes` has one entry for each call of `ask`, in the order of the calls. Opens caches read-only; makes no file.
    """

    def __init__(
        self,
        prompts: Path,
        engine_of: EngineOf,
        path: Callable[[str], Path],
        identities: Mapping[str, str] = NOTHING,
        say: Callable[[str], None] = print,
        open_cache: Callable[[Path], PromptCache] | None = None,
    ) -> None:
        self.identities = identities
        self.probes: list[Probe] = []
        self.watch: Callable[[Use, Attempt, Answer | None], None] | None = None
        """Told of each request that was looked up, and of its answer."""
        self._prompts = prompts
        self._engine_of = engine_of
        self._path = path
        self._open_cache = open_cache or (lambda path: PromptCache(path, readonly=True, say=say))
        self._digests = FileDigests(prompts / "models.json", readonly=True)

    def ask(self, spec: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        probe = Probe(spec)
        self.probes.append(probe)
        return self._look_up(probe, requests, reader)

    def embed(self, spec: ModelSpec, texts: Sequence[str]) -> NDArray[float32] | None:
        """The vectors of the texts, where all of them are in the cache."""
        from dreammake.run.embedding import embedding_use, kept

        with suppress(KeyError):
            use = embedding_use(spec, self.identities, self._digests, self._path)
            cache = self._open_cache(self._prompts / use.file)
            try:
                vectors = kept(cache, use, texts)
            finally:
                cache.close()
            if texts and len(vectors) == len(set(texts)):
                import numpy

                return numpy.stack([vectors[text] for text in texts])
        return None

    def embedder_identity(self, spec: ModelSpec) -> Mapping[str, Any]:
        """What tells the vectors of a model from those of any other. Raises KeyError where it is still to be built."""
        from dreammake.run.embedding import embedding_use

        return embedding_use(spec, self.identities, self._digests, self._path).identity

    def file_of(self, spec: ModelSpec, *, embeds: bool = False) -> str:
        """The name of a model's cache: of its answers, or its vectors. Raises KeyError for a model that is still to be
        built, DreamError, OSError."""
        if embeds:
            from dreammake.run.embedding import embedding_use

            return embedding_use(spec, self.identities, self._digests, self._path).file
        return use_for(spec, self._engine_of, self.identities, self._digests, self._path).file

    def pace_of(self, spec: ModelSpec) -> Pace:
        """How the model answers, by the answers that it gave."""
        with suppress(KeyError, DreamError, OSError):
            cache = self._open_cache(self._prompts / self.file_of(spec))
            typical = cache.typical()
            cache.close()
            each = typical.seconds
            return Pace(typical.completion_tokens, None if each is None else each / self._window_of(spec))
        return Pace()

    def _window_of(self, spec: ModelSpec) -> int:
        return int(spec.options.get("concurrency") or self._engine_of(spec.engine).window)

    def _unknown(self, probe: Probe, requests: Iterable[Request]) -> Iterator[Answer]:
        probe.exact = False
        for request in requests:
            _count(probe, request)
            yield Answer(None, missing=True)

    def _look_up(self, probe: Probe, requests: Iterable[Request], reader: Reader | None) -> Iterator[Answer]:
        try:
            use = use_for(probe.spec, self._engine_of, self.identities, self._digests, self._path)
        except KeyError:
            yield from self._unknown(probe, requests)
            return
        cache = self._open_cache(self._prompts / use.file)
        probe.typical = cache.typical()
        probe.window = self._window_of(probe.spec)
        reading = Reading(use, cache, reader)
        source, occurrences, missing = iter(requests), Occurrences(), set[bytes]()
        try:
            while chunk := [use.complete(request) for request in islice(source, CHUNK)]:
                attempts = [Attempt(request, *use.key(request, occurrences)) for request in chunk]
                found = reading.find(attempts)
                for attempt in attempts:
                    answer = found.get(id(attempt))
                    if answer is not None or attempt.key in missing:
                        probe.total += 1
                        probe.cached += 1
                    else:
                        _count(probe, attempt.request)
                        if use.deterministic:
                            missing.add(attempt.key)
                    if self.watch is not None:
                        self.watch(use, attempt, answer)
                    yield answer or Answer(None, missing=True)
        finally:
            cache.close()


def _count(probe: Probe, request: Request) -> None:
    """Count a request that would be asked."""
    probe.total += 1
    probe.characters += sum(len(str(message.get("content", ""))) for message in request.messages)
