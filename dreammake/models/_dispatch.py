"""One queue of requests before the endpoints of a model: who has a free place takes the next.

All of it runs in one event loop in a thread of its own; only `put` is called from other threads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from dreammake.core.engine import Answer, Ask, Failure
from dreammake.models._rate import Rate
from dreammake.models._trouble import Trouble
from dreammake.models._window import Window

Done = Callable[[Answer], None]

GONE_AFTER = 4.0
"""For how many seconds an endpoint that nobody listens at is tried, before it counts as gone."""
GONE_AFTER_ANSWERS = 20.0
"""The same for one that has answered: its server may be starting again."""
KNOCK_EVERY = 0.25
LOOK_AGAIN_AFTER = 30.0
"""Seconds until an endpoint that is gone is tried again, while others answer."""
_INTERRUPTED = Failure("interrupted", "the request was interrupted")


class Endpoint(Protocol):
    """One address where a model is asked. `ask` raises nothing but CancelledError."""

    name: str

    async def ask(self, ask: Ask) -> Answer | Trouble: ...

    async def close(self) -> None: ...


class _Copy:
    """An endpoint, and how it does."""

    __slots__ = ("answered", "endpoint", "gone", "silent_since", "window")

    def __init__(self, endpoint: Endpoint, most: int) -> None:
        self.endpoint = endpoint
        self.window = Window(most)
        self.answered = False
        self.gone = False
        self.silent_since: float | None = None
        """When nobody listened first, since the last answer."""

    @property
    def free(self) -> int:
        limit = 1 if self.gone else self.window.limit
        return limit - self.window.under_way


class _Waiting:
    """A request in the queue: how often it failed, and when it was first sent."""

    __slots__ = ("ask", "done", "first", "tokens", "tries")

    def __init__(self, ask: Ask, done: Done) -> None:
        self.ask = ask
        self.done = done
        self.tries = 0
        self.first = 0.0
        self.tokens = 0.0


class Dispatch:
    """Sends requests to the endpoints, at most `at_once` to each, and again where they fail for a passing reason.

    Too many requests (429) are tried again for `patience` seconds, other passing failures `retries` times. An endpoint
    that nobody listens at is left out while others live; when none does, every request fails at once.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        at_once: int,
        rate: Rate,
        retries: int,
        patience: float,
        say: Callable[[str], None],
    ) -> None:
        self._copies = [_Copy(endpoint, at_once) for endpoint in endpoints]
        self._rate = rate
        self._retries = retries
        self._patience = patience
        self._say = say
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._paused: dict[_Waiting, asyncio.TimerHandle] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._awake = False
        self._closed = False
        self._told_crowded = False
        self._answer_tokens = 0.0
        """The mean of the answers so far."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model-endpoints", daemon=True)
        self._thread.start()

    def put(self, ask: Ask, done: Done) -> None:
        if self._closed:
            done(_failed(_INTERRUPTED))
            return
        self._waiting.append(_Waiting(ask, done))
        if not self._awake:  # one wake-up for all that is put here before the loop looks
            self._awake = True
            self._loop.call_soon_threadsafe(self._send)

    def close(self) -> None:
        """Answer what is under way as interrupted, and end the thread."""
        if self._loop.is_closed():
            return
        self.call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._rate.close()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine gives, run in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _shut(self) -> None:
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for timer in (*self._paused.values(), *([self._alarm] if self._alarm else [])):
            timer.cancel()
        self._give_up([*self._paused, *self._waiting], _INTERRUPTED)
        for copy in self._copies:
            await copy.endpoint.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # litellm has some of its own
        for other in left:
            other.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _send(self) -> None:
        """Give waiting requests to endpoints while there is room."""
        self._awake = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._waiting:
            now = time.monotonic()
            copy = self._with_room(now)
            if copy is None:
                return self._look_later(now)
            item = self._waiting[0]
            if self._rate.limits:
                item.tokens = _tokens_of(item.ask, self._answer_tokens)
                if (wait := self._rate.take(item.tokens)) > 0:
                    return self._look_in(wait)
            self._waiting.popleft()
            item.first = item.first or now
            copy.window.under_way += 1
            task = self._loop.create_task(self._ask(copy, item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return None

    def _with_room(self, now: float) -> _Copy | None:
        """The open endpoint with the most free places."""
        best, most = None, 0
        for copy in self._copies:
            if copy.window.opens <= now and copy.free > most:
                best, most = copy, copy.free
        return best

    def _look_later(self, now: float) -> None:
        """Wake up when the first closed endpoint opens; one that is full wakes by itself."""
        opens = [copy.window.opens for copy in self._copies if copy.window.opens > now and copy.free > 0]
        if opens:
            self._look_in(min(opens) - now)

    def _look_in(self, seconds: float) -> None:
        self._alarm = self._loop.call_later(seconds, self._send)

    async def _ask(self, copy: _Copy, item: _Waiting) -> None:
        round_ = copy.window.round
        try:
            reply = await copy.endpoint.ask(item.ask)
        except asyncio.CancelledError:
            item.done(_failed(_INTERRUPTED))
            raise
        except Exception as error:
            reply = Trouble(Failure("request-failed", f"{type(error).__name__}: {error}"), passing=False)
        copy.window.under_way -= 1
        self._awake = True  # what `done` puts here is sent below
        if isinstance(reply, Answer):
            self._answered(copy, item, reply)
        else:
            self._troubled(copy, item, reply, round_)
        self._send()

    def _answered(self, copy: _Copy, item: _Waiting, answer: Answer) -> None:
        copy.window.answered()
        copy.answered, copy.silent_since = True, None
        if copy.gone:
            copy.gone = False
            self._say(f"{copy.endpoint.name} answers again")
        if self._rate.limits and answer.completion_tokens is not None:
            self._answer_tokens += (answer.completion_tokens - self._answer_tokens) / 16
            self._rate.settle((answer.prompt_tokens or 0) + answer.completion_tokens - item.tokens)
        item.done(answer)

    def _troubled(self, copy: _Copy, item: _Waiting, trouble: Trouble, round_: int) -> None:
        now = time.monotonic()
        if trouble.refused:
            self._nobody_there(copy, item, trouble, now)
        elif trouble.crowded:
            self._crowded(copy, item, trouble, now, round_)
        elif not trouble.passing or item.tries >= self._retries:
            item.done(_failed(trouble.failure))
        else:
            item.tries += 1
            self._wait(item, trouble.pause(item.tries))

    def _wait(self, item: _Waiting, seconds: float) -> None:
        self._paused[item] = self._loop.call_later(seconds, self._again, item)

    def _again(self, item: _Waiting) -> None:
        del self._paused[item]
        self._waiting.appendleft(item)
        self._send()

    def _crowded(self, copy: _Copy, item: _Waiting, trouble: Trouble, now: float, round_: int) -> None:
        if now + (trouble.after or 0.0) > item.first + self._patience:
            failure = trouble.failure
            hint = f"{failure.hint or 'try again later'}; or raise its `patience`, {self._patience:g} s"
            return item.done(_failed(Failure("rate-limited", failure.message, hint, fatal=not copy.answered)))
        copy.window.refused(round_, now, trouble.after)
        if not self._told_crowded:
            self._told_crowded = True
            self._say(f"{copy.endpoint.name} gets {trouble.failure.message}: fewer are sent at once from here on")
        if trouble.after is None:
            return self._waiting.appendleft(item)
        return self._wait(item, trouble.pause(0))

    def _nobody_there(self, copy: _Copy, item: _Waiting, trouble: Trouble, now: float) -> None:
        """Leave the endpoint out once it is gone; fail all that waits when it was the last."""
        copy.silent_since = now if copy.silent_since is None else copy.silent_since
        if not copy.gone and now - copy.silent_since < (GONE_AFTER_ANSWERS if copy.answered else GONE_AFTER):
            copy.window.close_until(now + KNOCK_EVERY)
            return self._waiting.appendleft(item)
        copy.window.close_until(now + LOOK_AGAIN_AFTER)
        newly, copy.gone = not copy.gone, True
        if any(not other.gone for other in self._copies):
            if newly:
                self._say(f"warning: {trouble.failure.message}; it is left out, the others go on")
            return self._waiting.appendleft(item)
        waiting = [item, *self._waiting]
        self._waiting.clear()
        for each in self._copies:  # what a later job asks goes there at once, one request at a time
            each.window.opens = 0.0
        return self._give_up(waiting, trouble.failure)

    def _give_up(self, items: Sequence[_Waiting], failure: Failure) -> None:
        for item in items:
            item.done(_failed(failure))


def _tokens_of(ask: Ask, answer_tokens: float) -> float:
    """About how many tokens a request will count: four characters each, and an answer like those before."""
    characters = sum(len(str(message.get("content", ""))) for message in ask.request.messages)
    return characters / 4 + min(answer_tokens, ask.max_tokens or answer_tokens)


def _failed(failure: Failure) -> Answer:
    return Answer(None, "error", error=failure)
