"""An error as a value: its code, one sentence, its place, and a hint that is an action.

Nothing here prints. `display.excerpt` draws diagnostics, once, at the edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from dreammake.core.span import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Note:
    """A second place that explains the first: where the other rule stands, say."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong.

    `code` is a key of `core.codes.CODES`; `message` one sentence without a full stop; `label` stands
    behind the underline; `hint` says what to do.
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    hint: str = ""
    notes: tuple[Note, ...] = ()
    severity: Severity = "error"


class DreamError(Exception):
    """Something that the user can mend: carries every diagnostic of the phase that failed.

    `exit_code` is 2 for a wrong Dreamfile, command line or plan, and 1 for a job that failed.
    """

    def __init__(self, *diagnostics: Diagnostic, exit_code: int = 2) -> None:
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in diagnostics))
        self.diagnostics = diagnostics
        self.exit_code = exit_code


def fail(
    code: str, message: str, span: Span | None = None, *, label: str = "", hint: str = "", exit_code: int = 2
) -> NoReturn:
    """Raise one diagnostic."""
    raise DreamError(Diagnostic(code, message, span, label, hint), exit_code=exit_code)


@dataclass(slots=True)
class Errors:
    """Collects diagnostics so that one phase can report all of them at once."""

    found: list[Diagnostic] = field(default_factory=list)

    def add(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        *,
        label: str = "",
        hint: str = "",
        notes: Iterable[Note] = (),
    ) -> None:
        diagnostic = Diagnostic(code, message, span, label, hint, tuple(notes))
        if diagnostic not in self.found:
            self.found.append(diagnostic)

    def take(self, error: DreamError) -> None:
        for diagnostic in error.diagnostics:
            if diagnostic not in self.found:
                self.found.append(diagnostic)

    def check(self) -> None:
        """Raise what was collected, in the order of the text."""
        if self.found:
            raise DreamError(*sorted(self.found, key=_by_place))


def _by_place(diagnostic: Diagnostic) -> tuple[str, int]:
    span = diagnostic.span
    return (span.path, span.start) if span else ("", -1)


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line of at most 200 characters and without a full stop."""
    line = next(iter(str(error).strip().splitlines()), "").rstrip(".") or type(error).__name__
    return line if len(line) <= 200 else line[:199] + "…"
