"""What asking costs: answers get their price, and with a budget no request is sent that might pass it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.engine import Answer, Ask, Failure
from dreammake.core.prices import price_of
from dreammake.core.values import ModelSpec
from dreammake.display.amounts import dollars

if TYPE_CHECKING:
    from dreammake.store.ledger import Ledger
    from dreammake.store.prompt_cache import PromptCache

_BYTES_A_TOKEN = 2.0
"""Fewer than any language has, so that the estimate of a prompt is not too low."""
_TOKENS_A_MESSAGE = 8
_LONGEST_GUESSED = 1000
"""Tokens of an answer of a model without `max_tokens` that has answered nothing yet."""
_SPREAD = 2.0
"""How much longer than all before it an answer may be."""
_PATIENCE = 0.2
"""Seconds between two looks at the ledger, where other workers hold what is left."""


class Spending:
    """What one `ask` spends. `hold` and `settle` are called by any thread.

    Without a `max_tokens` how long an answer gets is a guess: twice the longest so far.
    """

    def __init__(self, spec: ModelSpec, ledger: Ledger | None, cache: PromptCache) -> None:
        self.price = price_of(spec)
        self._charged = self.price is not None and not self.price.free
        self._ledger = ledger if self._charged else None
        self._budget = None if ledger is None else ledger.account().budget
        if self._budget is not None and self.price is None:
            raise DreamError(unknown_price(spec), exit_code=1)
        self._longest: float | None = None
        if self._bounded:
            self._longest = cache.typical().completion_tokens
        self._unsettled = 0.0
        self._lock = threading.Lock()

    @property
    def _bounded(self) -> bool:
        return self._ledger is not None and self._budget is not None

    @property
    def patience(self) -> float | None:
        """Seconds after which it is worth trying again to submit; None where nothing is ever held back."""
        return _PATIENCE if self._bounded else None

    def hold(self, ask: Ask) -> tuple[Literal["held", "wait", "never"], float]:
        """Whether a request may be sent now, and the dollars held back for it."""
        if not self._bounded or self._ledger is None:
            return "held", 0.0
        amount = self.estimate(ask)
        verdict = self._ledger.hold(amount)
        return verdict, amount

    def estimate(self, ask: Ask) -> float:
        """Dollars that a request costs at most, as far as can be known."""
        assert self.price is not None
        said = [str(message.get("content", "")) for message in ask.request.messages]
        size = sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in said)
        guess = _LONGEST_GUESSED if self._longest is None else _SPREAD * self._longest
        return self.price.cost(size / _BYTES_A_TOKEN + _TOKENS_A_MESSAGE * len(said), ask.max_tokens or guess)

    def priced(self, answer: Answer) -> Answer:
        """The answer with what it cost."""
        if self.price is None or not self._charged:
            return answer
        if answer.prompt_tokens is None and answer.completion_tokens is None:
            return answer
        tokens = (answer.prompt_tokens or 0, answer.completion_tokens or 0, answer.cached_tokens or 0)
        return replace(answer, cost=round(self.price.cost(*tokens), 10))

    def settle(self, held: float, answer: Answer) -> None:
        """Count what an answer cost: at once where others wait for what was held, else with the next `flush`."""
        if self._ledger is None:
            return
        if self._bounded:
            if answer.completion_tokens is not None:
                self._longest = max(self._longest or 0.0, answer.completion_tokens)
            self._ledger.settle(held, answer.cost or 0.0)
        elif answer.cost:
            with self._lock:
                self._unsettled += answer.cost

    def flush(self) -> None:
        """Write down what was counted."""
        if self._ledger is not None and self._unsettled:
            with self._lock:
                cost, self._unsettled = self._unsettled, 0.0
            self._ledger.settle(0.0, cost)

    def reached(self, amount: float) -> Failure:
        """The budget leaves too little for a request that may cost so much."""
        assert self._ledger is not None
        account = self._ledger.account()
        spent = f"{dollars(account.spent, exact=True)} is spent" if account.spent else "nothing is spent yet"
        return Failure(
            "budget-reached",
            f"the budget of {dollars(account.budget or 0.0, exact=True)} is reached: {spent}, "
            f"and the next prompt may cost {dollars(amount, exact=True)}",
            "every answer that came is kept: build again with a --budget for the rest, which `dreammake -n` counts",
            fatal=True,
        )


def unknown_price(spec: ModelSpec) -> Diagnostic:
    """A budget cannot be kept where nobody knows what a model costs."""
    return Diagnostic(
        "unknown-price",
        f'the budget cannot be kept: nobody knows what the model `{spec.name}` ("{spec.model}") costs',
        hint="give the model a `price` in dollars a million tokens (0 where it costs nothing)",
    )
