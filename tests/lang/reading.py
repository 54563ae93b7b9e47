"""Short ways to read texts in the tests of the language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.span import Source
from dreammake.lang.evaluate import evaluate
from dreammake.lang.parser import parse_expression, parse_file
from dreammake.lang.syntax import Expr, File


def expression(text: str) -> Expr:
    return parse_expression(text, Source("Dreamfile", text), 0)


def file(text: str) -> File:
    return parse_file(Source("Dreamfile", text))


def value(text: str, /, **names: Any) -> Any:
    return evaluate(expression(text), names)


def wrong(call: Callable[[], object]) -> tuple[Diagnostic, ...]:
    """What a call that must fail says."""
    try:
        made = call()
    except DreamError as error:
        return error.diagnostics
    raise AssertionError(f"nothing is wrong: {made!r}")


def wrong_value(text: str, /, **names: Any) -> Diagnostic:
    (found,) = wrong(lambda: value(text, **names))
    return found
