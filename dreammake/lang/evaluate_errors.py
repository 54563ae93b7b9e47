"""What is wrong in an expression that is evaluated, at the narrowest place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.span import Span
from dreammake.core.spelling import did_you_mean
from dreammake.lang import syntax as s
from dreammake.lang.functions import FUNCTIONS
from dreammake.lang.limits import TooMuch
from dreammake.lang.methods import METHODS
from dreammake.lang.namespace import Namespace
from dreammake.lang.operators import Unfit, kind

_PATH_AROUND = re.compile(r"[\w.~-]*(?:/[\w.*-]+)+|[\w-]+\.(?:csv|tsv|jsonl?|parquet|txt|arrow|py|yaml)\b")


def blame(error: Exception, span: Span | None) -> DreamError:
    """The DreamError for what went wrong at `span`."""
    match error:
        case DreamError():
            placed = (replace(d, span=span) if d.span is None else d for d in error.diagnostics)
            return DreamError(*placed, exit_code=error.exit_code)
        case Unfit() as unfit:
            return DreamError(Diagnostic(unfit.code, unfit.message, span, hint=unfit.hint))
        case TooMuch() as much:
            hint = "make it smaller" if much.code == "too-large" else "use a step for it, which works row by row"
            return DreamError(Diagnostic(much.code, much.message, span, hint=hint))
        case ZeroDivisionError():
            return DreamError(Diagnostic("bad-expression", "a division by zero", span))
        case OverflowError() | MemoryError():
            return DreamError(Diagnostic("too-large", "this would be too large", span))
        case RecursionError():
            return DreamError(Diagnostic("too-deep", "this is nested too deeply", span))
    return DreamError(Diagnostic("bad-expression", _in_words(error), span))


def _in_words(error: Exception) -> str:
    """Python's own words for an error, for the few cases that nothing here foresees (a method's arguments)."""
    text = re.sub(r"^(?:str|_\w+|[\w.<>]+\.method|method|operate|extreme)(?:\.\w+)?\(\)", "this call", str(error))
    text = re.sub(r"'(\w+)'", r"`\1`", text).rstrip(".")
    return text[:1].lower() + text[1:] if text else type(error).__name__


@contextmanager
def blamed_on(span: Span) -> Iterator[None]:
    try:
        yield
    except DreamError:
        raise
    except Exception as error:
        raise blame(error, span) from None


def no_item(expr: s.Index, value: Any, key: Any, error: Exception) -> DreamError:
    span = expr.index.span
    if isinstance(error, KeyError) and isinstance(value, Mapping):
        known = [known for known in value if isinstance(known, str)]
        hint = did_you_mean(key, known) if isinstance(key, str) else ""
        shown = f'"{key}"' if isinstance(key, str) else f"{key}"
        return DreamError(Diagnostic("unknown-key", f"there is no {shown} in `{_shown(expr.value)}`", span, hint=hint))
    if isinstance(error, IndexError):
        message = f"there is no item {key}: `{_shown(expr.value)}` has {len(value)}"
        return DreamError(Diagnostic("unknown-key", message, span))
    if isinstance(error, TypeError):
        wanted = "a key" if isinstance(value, Mapping) else "a whole number"
        return blame(Unfit(f"an index is {wanted}, not {kind(key)}"), span)
    return blame(error, span)


def _shown(expr: s.Expr) -> str:
    text = " ".join(expr.span.text.split())
    return text if len(text) <= 40 else text[:39] + "…"


def unknown_key(expr: s.Attribute, name: str, value: Namespace) -> DreamError:
    hint = did_you_mean(name, value)
    message = f"there is no `{name}` in `{_shown(expr.value)}`"
    return DreamError(Diagnostic("unknown-key", message, expr.name_span, hint=hint))


def no_attribute(expr: s.Attribute, value: Any) -> DreamError:
    name = expr.name
    hint = ""
    if name in {known for methods in METHODS.values() for known in methods}:
        hint = f"call it: `.{name}(…)`"
    elif isinstance(value, dict) and name in value:
        hint = f'write `{_shown(expr.value)}["{name}"]`'
    return DreamError(Diagnostic("unknown-key", f"{kind(value)} has no `.{name}`", expr.name_span, hint=hint))


def no_method(expr: s.Attribute, value: Any) -> DreamError:
    name = expr.name
    known = METHODS.get(value.__class__, {})
    hint = did_you_mean(name, known)
    if hint.startswith("known here"):
        hint = "there are: " + ", ".join(known)
    if name == "format":
        hint = 'write an f-string: f"…{x}…"'
    elif value is None:
        hint = "test for it first: `… if x is not None else …`"
    return DreamError(Diagnostic("unknown-key", f"{kind(value)} has no method `{name}`", expr.name_span, hint=hint))


def unknown_name(expr: s.Name, names: Mapping[str, Any]) -> DreamError:
    name, span = expr.id, expr.span
    hint = f"it is a function: call it, `{name}(…)`" if name in FUNCTIONS else ""
    if not hint and span.source is not None:
        start = span.start
        found = _PATH_AROUND.match(span.source.text, start)
        if found is not None and not names.get(name):
            hint = f'a path needs quotes: "{found.group()}"'
    hint = hint or did_you_mean(name, [*names, *FUNCTIONS, "True", "False", "None"])
    return DreamError(Diagnostic("unknown-name", f"there is no `{name}` here", span, hint=hint))
