"""Keeps an engine busy: requests wait in line for it, at most `window` are under way, answers are kept as they come.

Three threads meet here. The job's own (it draws requests and takes answers), the engine's (it calls `done`, which
submits the next one, so that the engine is never idle while the job is busy elsewhere), and the keeper's (it writes).
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from dreammake.core.engine import Answer, Ask, Engine, Failure
from dreammake.core.secrets import SECRETS
from dreammake.run.attempts import Attempt
from dreammake.run.spending import Spending
from dreammake.store.prompt_cache import PromptCache

_MOST_AT_ONCE = 1000


class Flow:
    """The requests of one `ask` that are not in the cache: where their answers go, and what stopped them."""

    def __init__(
        self,
        cache: PromptCache,
        max_tokens: int | None,
        count: Callable[[Answer], None],
        spending: Spending,
        again: Callable[[Entry, Answer], bool] | None = None,
    ) -> None:
        self.cache = cache
        self.max_tokens = max_tokens
        self.count = count
        self.spending = spending
        self.again = again
        """Asks again for an answer that cannot be read; False where this one is the last. Called by the keeper."""
        self.submitted = 0
        """Raised by the lane only, under its lock; `settled` by the keeper only."""
        self.settled = 0
        self.stopped = False
        self.broken: BaseException | None = None
        """Why nothing more can be kept or submitted: a full disk, say."""
        self.fatal: Failure | None = None

    @property
    def under_way(self) -> int:
        return self.submitted - self.settled


class Entry:
    """One request: `answer` is set once the answer is kept. `key` is that of its first attempt."""

    __slots__ = ("answer", "ask", "attempt", "flow", "held", "key")

    def __init__(self, key: bytes, attempt: Attempt) -> None:
        self.key = key
        self.attempt = attempt
        self.ask: Ask | None = None
        self.answer: Answer | None = None
        self.flow: Flow | None = None
        self.held = 0.0
        """Dollars that are held back for it."""


class Keeper:
    """Writes answers to their caches in a thread of its own, all that have arrived in one transaction."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        """Notified when answers were kept, or a flow was stopped."""
        self._arrived: queue.SimpleQueue[tuple[Flow, Entry, Answer] | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, flow: Flow, entry: Entry, answer: Answer) -> None:
        self._arrived.put((flow, entry, answer))

    def flush(self) -> None:
        """Wait until all that has arrived is kept."""
        if self._thread is not None:
            written = threading.Event()
            self._arrived.put(written)
            written.wait()

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="prompt-cache", daemon=True)
            self._thread.start()

    def close(self) -> None:
        if self._thread is not None:
            self._arrived.put(None)
            self._thread.join()
            self._thread = None

    def notify(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def _run(self) -> None:
        while True:
            items = [self._arrived.get()]
            with suppress(queue.Empty):
                while len(items) < _MOST_AT_ONCE:
                    items.append(self._arrived.get_nowait())
            by_flow: dict[Flow, list[tuple[Entry, Answer]]] = {}
            for item in items:
                if isinstance(item, tuple):
                    by_flow.setdefault(item[0], []).append(item[1:])
            for flow, arrived in by_flow.items():
                self._keep(flow, arrived)
            self.notify()
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
            if None in items:
                return

    @staticmethod
    def _keep(flow: Flow, arrived: list[tuple[Entry, Answer]]) -> None:
        there: dict[bytes, Answer] = {}
        flow.spending.flush()
        good = [(entry.attempt.key, answer) for entry, answer in arrived if answer.error is None]
        try:
            if good:
                there = flow.cache.add(good, flow.max_tokens)
        except Exception as error:
            flow.broken = error
            flow.stopped = True
        for entry, answer in arrived:
            flow.count(answer)
            kept = there.get(entry.attempt.key, answer)
            try:
                asked_again = flow.again is not None and flow.again(entry, kept)
            except Exception as error:
                flow.broken, flow.stopped, asked_again = error, True, False
            if not asked_again:
                entry.answer = kept
            flow.settled += 1


class Lane:
    """The line before one engine; all flows that use the engine wait in it."""

    def __init__(self, engine: Engine, keeper: Keeper) -> None:
        self.engine = engine
        self.users = 0
        """How many `ask`s may still put requests here."""
        self._keeper = keeper
        self._lock = threading.Lock()
        self._waiting: deque[Entry] = deque()
        self._under_way = 0
        self._pumping = False

    def put(self, flow: Flow, entries: list[Entry], *, first: bool = False) -> None:
        """Have entries wait in line, or before all others."""
        for entry in entries:
            entry.flow = flow
        with self._lock:
            if first:
                self._waiting.extendleft(reversed(entries))
            else:
                self._waiting.extend(entries)
        self._pump()

    def _pump(self) -> None:
        """Submit while there is room. Whoever pumps already goes on for all, so engines that answer at once do not
        recurse, and no two threads submit at the same time."""
        while (entry := self._take()) is not None:
            flow, ask, entry.ask = entry.flow, entry.ask, None
            assert flow is not None and ask is not None
            try:
                self.engine.submit(ask, partial(self._done, flow, entry))
            except Exception as error:
                flow.broken = error
                self._done(flow, entry, Answer(None, "error", error=Failure("engine-failed", str(error), fatal=True)))
            finally:
                with self._lock:
                    self._pumping = False

    def _take(self) -> Entry | None:
        with self._lock:
            if self._pumping:
                return None
            while self._waiting and self._under_way < self.engine.window:
                entry = self._waiting.popleft()
                if entry.flow is None or entry.flow.stopped:
                    continue
                if not self._may_ask(entry.flow, entry):
                    return None
                self._pumping = True
                self._under_way += 1
                entry.flow.submitted += 1
                return entry
            return None

    def _may_ask(self, flow: Flow, entry: Entry) -> bool:
        """Whether the budget leaves enough for a request now; one that must wait stays the first in line."""
        assert entry.ask is not None
        verdict, entry.held = flow.spending.hold(entry.ask)
        if verdict == "never":
            flow.fatal = flow.spending.reached(entry.held)
            flow.stopped = True
        elif verdict == "wait":
            self._waiting.appendleft(entry)
        return verdict == "held"

    def go_on(self) -> None:
        """Submit what had to wait for money."""
        self._pump()

    def _done(self, flow: Flow, entry: Entry, answer: Answer) -> None:
        answer = flow.spending.priced(answer)
        flow.spending.settle(entry.held, answer)
        if answer.error is not None:
            answer = replace(answer, error=_without_secrets(answer.error))
        if answer.error is not None and answer.error.fatal and flow.fatal is None:
            flow.fatal = answer.error
            flow.stopped = True
        self._keeper.put(flow, entry, _storable(answer))
        with self._lock:
            self._under_way -= 1
        self._pump()


def _without_secrets(failure: Failure) -> Failure:
    """Servers repeat what they were sent, keys too."""
    return replace(failure, message=SECRETS.hide(failure.message), hint=SECRETS.hide(failure.hint))


def _storable(answer: Answer) -> Answer:
    """The answer with half characters (lone surrogates, which some servers send) replaced: no file can hold them."""
    text, reasoning = _whole(answer.text), _whole(answer.reasoning)
    if text is answer.text and reasoning is answer.reasoning:
        return answer
    return replace(answer, text=text, reasoning=reasoning)


def _whole(text: str | None) -> str | None:
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
