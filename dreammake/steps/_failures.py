"""Rows without a result: they go to the error table, and `on_error` and `max_errors` say what becomes of the job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from dreammake.core.diagnostic import fail
from dreammake.core.engine import Failure
from dreammake.core.options import Option, Wrong
from dreammake.core.step import RowError, Work

_SHOWN_REASONS = 3
_COUNTED_REASONS = 1000
_LASTING = frozenset({"row-error", "context-overflow", "answer-cut", "unclear-answer", "no-majority"})
"""What stays as it is until the user edits something: no build asks again by itself."""


class MostErrors(Option[int | float]):
    takes = "a number of rows, or a share of them between 0 and 1"

    def read(self, value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(value)
        if value < 0 or (isinstance(value, float) and value > 1):
            raise Wrong(f"`{self.name}` takes {self.takes}, not {value:g}", code="out-of-range")
        return value


class Failures:
    """The rows of one step that failed. `total` is the number of all its rows, where that is known beforehand."""

    def __init__(self, options: Any, step: str, work: Work, total: int | None) -> None:
        self._on_error: str = options.on_error
        others = [f'"{choice}"' for choice in options.declared()["on_error"].choices if choice != "fail"]
        self._else = f"{others[0]}` or {others[1]}"
        self._most: int | float | None = options.max_errors
        self._step = step
        self._work = work
        self._total = total
        self._failed = 0
        self._reasons: Counter[str] = Counter()
        self._hint = ""

    def add(self, row: int, failure: Failure, values: Callable[[], Mapping[str, Any]], answer: str | None) -> None:
        """Put a row in the error table. Raises DreamError `too-many-errors` where it is one too many."""
        again = failure.code not in _LASTING
        self._work.error(RowError(row, self._step, failure.code, failure.message, values(), answer, again))
        self._failed += 1
        known = len(self._reasons) < _COUNTED_REASONS or failure.message in self._reasons
        self._reasons[failure.message if known else failure.code] += 1
        self._hint = self._hint or failure.hint
        if self._total is not None or not isinstance(self._most, float):
            self._check_most(self._total, row + 1)

    @property
    def keeps(self) -> bool:
        """Whether a row that failed stays: without an answer, where it would have one."""
        return self._on_error in ("null", "keep")

    @property
    def lose_all(self) -> bool:
        """Whether the rows are of no use any more."""
        return self._on_error == "fail" and self._failed > 0

    def check(self, rows: int) -> None:
        """All rows were asked. Raise DreamError for what failed; the answers that came are in the cache."""
        self._check_most(rows, rows)
        if self.lose_all:
            kept = f"the other answers are kept; build again to ask only these, or say `on_error: {self._else}"
            self._fail("prompts-failed", f"{self._failed:,} of {rows:,} rows failed: {self._commonest()}", kept)

    def _check_most(self, total: int | None, seen: int) -> None:
        most = self._most
        if most is None or self._failed <= (most * (total or 0) if isinstance(most, float) else most):
            return
        allowed = f"{most:g} of the rows" if isinstance(most, float) else f"{most:,}"
        of = f"{seen:,}" if seen == total else f"the first {seen:,}"
        message = f"{self._failed:,} of {of} rows failed, and `max_errors` allows {allowed}"
        kept = "the other answers are kept; build again when the cause is mended"
        self._fail("too-many-errors", f"{message}: {self._commonest()}", kept)

    def _fail(self, code: str, message: str, kept: str) -> NoReturn:
        hint = f"{self._hint}; {kept}" if self._hint else kept
        target = self._work.outputs[0].path if self._work.outputs else "TARGET"
        fail(code, message, hint=f"{hint}; `dreammake show {target} --errors` lists the rows", exit_code=1)

    def _commonest(self) -> str:
        reasons = [f"{count:,} × {reason}" if count > 1 else reason for reason, count in self._reasons.most_common()]
        more = f"; and {len(reasons) - _SHOWN_REASONS} other reasons" if len(reasons) > _SHOWN_REASONS else ""
        return "; ".join(reasons[:_SHOWN_REASONS]) + more
