"""Asks models: each request is looked up in the prompt cache, and only what is not there goes to an engine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.engine import Answer, Ask, Embedder, Engine, EngineContext, Reader, Request
from dreammake.core.job import StepCall
from dreammake.core.secrets import SECRETS
from dreammake.core.values import NOTHING, ModelSpec
from dreammake.run.attempts import Attempt, Reading
from dreammake.run.offline import offline_miss
from dreammake.run.request_flow import Entry, Flow, Keeper, Lane
from dreammake.run.request_key import EngineOf, Occurrences, Use, engine_key, engine_spec, use_for
from dreammake.run.spending import Spending
from dreammake.store.file_digests import FileDigests
from dreammake.store.ledger import Ledger
from dreammake.store.prompt_cache import PromptCache

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

CHUNK = 256
"""How many requests are looked up at once."""
PATIENCE = 0.05
"""How long, in seconds, requests that come slowly are gathered before those are looked up."""
AHEAD = 2048
"""How many requests are drawn beyond those that fit the engine's window."""


@dataclass(slots=True)
class Stats:
    """What was asked since this was made: for events, the log and the bill. `cost` is in dollars."""

    cached: int = 0
    asked: int = 0
    failed: int = 0
    cut: int = 0
    """Answers that `max_tokens` cut off, kept ones too."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def add(self, answer: Answer) -> None:
        """Count an answer that came from the engine."""
        self.asked += 1
        self.failed += answer.error is not None
        self.prompt_tokens += answer.prompt_tokens or 0
        self.completion_tokens += answer.completion_tokens or 0
        self.cost += answer.cost or 0.0


class Asker:
    """Answers to requests, from caches and engines. Made once a worker, and kept between its jobs.

    `prompts` is the folder of the caches; `engine_of` gives the engine class of a name; `identities` the fingerprints
    of the job's inputs by path (set it anew for each job), by which models that are targets are told apart.
    `stats` counts; put a new one there to begin again. With `offline`, a request that is not in the cache is an error;
    `steps` are those of the job, to be named in it. `ledger` is the build's.
    """

    def __init__(
        self,
        prompts: Path,
        engine_of: EngineOf,
        context: EngineContext,
        identities: Mapping[str, str] = NOTHING,
        *,
        offline: bool = False,
        ledger: Ledger | None = None,
    ) -> None:
        self.identities = identities
        self.steps: Sequence[StepCall] = ()
        self.offline = offline
        self.ledger = ledger
        self.stats = Stats()
        self._prompts = prompts
        self._engine_of = engine_of
        self._context = context
        self._digests = FileDigests(prompts / "models.json")
        self._caches: dict[str, PromptCache] = {}
        self._lanes: dict[str, Lane] = {}
        self._embedders: dict[str, Embedder] = {}
        self._keeper = Keeper()
        self._lock = threading.RLock()

    def ask(self, spec: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        """One answer a request, in order, made lazily. A failed one is an answer with `error`; one that the reader
        cannot read is the last of its attempts.

        Raises DreamError (exit code 1) where every request would fail, once those under way are kept.
        """
        use = use_for(spec, self._engine_of, self.identities, self._digests, self._context.path)
        yield from _Asking(self, use, reader).answers(requests)

    def embed(self, spec: ModelSpec, texts: Sequence[str]) -> NDArray[float32]:
        """One vector a text, in their order. Raises DreamError (exit code 1) where a text cannot be embedded."""
        from dreammake.run.embedding import embedded, embedder_class, embedding_use

        use = embedding_use(spec, self.identities, self._digests, self._context.path)

        def model() -> Embedder:
            if self.offline:
                raise offline_miss(self.steps, spec, Request(({"role": "user", "content": texts[0]},)), 0)
            key = engine_key(use)
            if key not in self._embedders:
                self._embedders[key] = embedder_class(spec.engine)(use.spec, self._context)
            return self._embedders[key]

        return embedded(self.cache_of(use), use, texts, model)

    def embedder_identity(self, spec: ModelSpec) -> Mapping[str, Any]:
        """What tells the vectors of a model from those of any other."""
        from dreammake.run.embedding import embedding_use

        return embedding_use(spec, self.identities, self._digests, self._context.path).identity

    def close(self) -> None:
        """End the engines, keep what has arrived, and close the caches."""
        with self._lock:
            for lane in self._lanes.values():
                lane.engine.close()
            self._lanes.clear()
            for embedder in self._embedders.values():
                embedder.close()
            self._embedders.clear()
            self._keeper.close()
            for cache in self._caches.values():
                cache.close()
            self._caches.clear()
            if self.ledger is not None:
                self.ledger.close()
                self.ledger = None

    def cache_of(self, use: Use) -> PromptCache:
        with self._lock:
            if use.file not in self._caches:
                self._caches[use.file] = PromptCache(
                    self._prompts / use.file, about=SECRETS.hide_in(use.identity), say=self._context.say
                )
            return self._caches[use.file]

    def lane_of(self, use: Use) -> Lane:
        """The line before the engine of a model, which is made if none runs; counts one more user."""
        with self._lock:
            key = engine_key(use)
            lane = self._lanes.pop(key, None) or self._new_lane(use.spec)
            self._lanes[key] = lane  # the last one is the one used last
            lane.users += 1
            self._keeper.start()
            return lane

    def leave(self, lane: Lane) -> None:
        with self._lock:
            lane.users -= 1

    @property
    def keeper(self) -> Keeper:
        return self._keeper

    def _new_lane(self, spec: ModelSpec) -> Lane:
        kind = self._engine_of(spec.engine)
        if _heavy(kind):
            idle = [key for key, lane in self._lanes.items() if _heavy(type(lane.engine)) and not lane.users]
            for key in idle:
                self._lanes.pop(key).engine.close()
        return Lane(kind(engine_spec(spec), self._context), self._keeper)  # type: ignore[call-arg]


class _Asking:
    """One call of `ask`: what is held between drawing a request and giving its answer."""

    def __init__(self, asker: Asker, use: Use, reader: Reader | None = None) -> None:
        self._asker = asker
        self._use = use
        self._cache = asker.cache_of(use)
        self._reading = Reading(use, self._cache, reader)
        self._spending = Spending(use.spec, asker.ledger, self._cache)
        self._flow = Flow(self._cache, use.max_tokens, asker.stats.add, self._spending, self._again)
        self._lane: Lane | None = None
        self._held: deque[Entry] = deque()
        self._asking: dict[bytes, Entry] = {}
        """Where sampling is deterministic: held requests by key, so that equal ones are one."""
        self._occurrences = Occurrences()
        self._drawn = 0

    def answers(self, requests: Iterable[Request]) -> Iterator[Answer]:
        source = iter(requests)
        more = True
        try:
            while more or self._held:
                if self._held and (answer := self._held[0].answer) is not None:
                    self._check()
                    self._forget(self._held.popleft())
                    self._asker.stats.cut += answer.finish_reason == "length"
                    yield answer
                elif more and len(self._held) < self._bound():
                    chunk = _chunk(source)
                    more = bool(chunk)
                    self._hold(chunk)
                else:
                    self._wait(self._held[0])
                self._check()
        finally:
            self._leave()

    def _hold(self, requests: list[Request]) -> None:
        """Look requests up, and put those that no answer is known of in line."""
        fresh: list[Entry] = []
        for request in requests:
            request = self._use.complete(request)
            key, occurrence = self._use.key(request, self._occurrences)
            if (entry := self._asking.get(key)) is None:
                entry = Entry(key, Attempt(request, key, occurrence))
                fresh.append(entry)
                if self._use.deterministic:
                    self._asking[key] = entry
            else:
                self._asker.stats.cached += 1
            self._held.append(entry)
        missing = self._find(fresh)
        self._asker.stats.cached += len(fresh) - len(missing)
        if missing and self._asker.offline:
            self._miss(requests, missing[0])
        self._drawn += len(requests)
        if missing:
            self._lane = self._lane or self._asker.lane_of(self._use)
            self._lane.put(self._flow, missing)

    def _miss(self, requests: list[Request], missing: Entry) -> NoReturn:
        """Raise DreamError for the first request that has no answer."""
        latest = list(self._held)[-len(requests) :]
        number = next(at for at, entry in enumerate(latest) if entry is missing)
        raise offline_miss(self._asker.steps, self._use.spec, requests[number], self._drawn + number)

    def _find(self, entries: list[Entry]) -> list[Entry]:
        """Give entries the answers that are kept; those without one are ready to be asked."""
        found = self._reading.find(entry.attempt for entry in entries)
        missing = []
        for entry in entries:
            # Offline, what cannot be read is all there is.
            entry.answer = found.get(id(entry.attempt)) or (entry.attempt.unread if self._asker.offline else None)
            if entry.answer is None:
                entry.ask = self._ask(entry.attempt)
                missing.append(entry)
        return missing

    def _again(self, entry: Entry, answer: Answer) -> bool:
        """Ask again for an answer that cannot be read, before all that waits. False where this one is the last."""
        assert self._lane is not None
        if self._flow.stopped or not self._reading.ask_again(entry.attempt, answer):
            return False
        if missing := self._find([entry]):
            self._lane.put(self._flow, missing, first=True)
        return True

    def _ask(self, attempt: Attempt) -> Ask:
        use = self._use
        return Ask(
            attempt.request,
            seed=use.seed_of(attempt.key, attempt.occurrence, attempt.request.attempt),
            explicit_seed=use.seed is not None,
            sample=attempt.occurrence,
            max_tokens=use.max_tokens,
            options=use.options,
        )

    def _bound(self) -> int:
        return AHEAD + (self._lane.engine.window if self._lane else 0)

    def _forget(self, entry: Entry) -> None:
        if self._asking.get(entry.key) is entry:
            del self._asking[entry.key]

    def _wait(self, entry: Entry) -> None:
        changed = self._asker.keeper.changed
        while True:
            with changed:
                if changed.wait_for(lambda: entry.answer is not None or self._flow.stopped, self._spending.patience):
                    return
            if self._lane is not None:
                self._lane.go_on()

    def _check(self) -> None:
        """Raise what stopped the flow, after those under way were kept."""
        flow = self._flow
        if not flow.stopped:
            return
        changed = self._asker.keeper.changed
        with changed:
            changed.wait_for(lambda: flow.under_way == 0)
        if flow.broken is not None:
            raise flow.broken
        assert flow.fatal is not None
        failure = flow.fatal
        raise DreamError(Diagnostic(failure.code, failure.message, hint=failure.hint), exit_code=1)

    def _leave(self) -> None:
        """Submit nothing more, and keep what has arrived: after the last answer, and when the job is interrupted."""
        self._flow.stopped = True
        if self._lane is not None:
            self._asker.leave(self._lane)
            self._asker.keeper.flush()


def _chunk(source: Iterator[Request]) -> list[Request]:
    """The next requests: at most CHUNK, and fewer where they come slowly. Empty at the end."""
    until = time.monotonic() + PATIENCE
    chunk: list[Request] = []
    for request in source:
        chunk.append(request)
        if len(chunk) == CHUNK or time.monotonic() > until:
            break
    return chunk


def _heavy(kind: type[Engine]) -> bool:
    return bool(getattr(kind, "heavy", False))
