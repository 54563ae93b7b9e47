"""Jinja2 texts: parsed while reading (to know what they read), rendered per row, in a sandbox.

Reading never compiles a template, so nothing in one is computed then. A text with plain `{{ name }}` holes only
needs no Jinja2 at all; it is filled the same way, and much faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dreammake.core.diagnostic import DreamError, fail
from dreammake.core.span import Span
from dreammake.core.values import Template
from dreammake.lang.limits import MAX_TEXT, ROW_STEPS, Budget, TooMuch
from dreammake.lang.names import Chain
from dreammake.lang.namespace import Namespace
from dreammake.lang.operators import Unfit
from dreammake.lang.row import RowError
from dreammake.lang.syntax import Text
from dreammake.lang.template_places import find_name, place_in, wrong_part

Render = Callable[[Mapping[str, Any]], str]

_HOLE = re.compile(r"\{\{\s*([A-Za-z_]\w*)((?:\.[A-Za-z]\w*)*)\s*\}\}")
_WORDS_OF_JINJA = """true false none True False None not and or in is if else self super loop caller varargs kwargs
    range dict namespace joiner cycler recursive scoped ignore missing with without context"""
_NOT_PLAIN = frozenset(_WORDS_OF_JINJA.split())
"""Names that mean something of their own in Jinja2."""

_OR_FILTER = " where it may be null, or filter such rows out"


@dataclass(frozen=True, slots=True)
class ParsedTemplate:
    """What a template reads: the names that it does not set itself, each with its first place, and below each name
    the longest constant chains (`config.train.lr` is ("train", "lr"), () the whole)."""

    names: dict[str, Span]
    chains: dict[str, set[Chain]]


def parse_template(text: Text) -> ParsedTemplate:
    """Find what a template reads. Raises DreamError (`bad-template`, `too-deep`)."""
    plain = _plain_parts(text.value)
    if plain is None:
        return _parse_jinja(text)
    names: dict[str, Span] = {}
    chains: dict[str, set[Chain]] = {}
    for part in plain:
        if isinstance(part, re.Match):
            name, rest = part.group(1), part.group(2)
            names.setdefault(name, place_in(text, *part.span(1)))
            chains.setdefault(name, set()).add(tuple(rest.split(".")[1:]))
    return ParsedTemplate(names, chains)


def compile_template(template: Template, columns: Sequence[str]) -> Render:
    """A function from a row (values by column name) to the text. It raises RowError, with the row as 0.

    A value that is null is no text: a hole that would print one is an error of the row. A column hides any other name.
    Names in the row that are no columns (`examples`, `context`) are read, too.
    """
    captured = {
        name: Namespace(value) if isinstance(value, Mapping) else value
        for name, value in template.captured.items()
        if name not in columns
    }
    plain = _plain_parts(template.source)
    if plain is not None:
        parts = _filled_parts(plain, captured)
        if parts is not None:
            return _plain_render(template.source, parts)
    return _jinja_render(template.source, captured)


# Texts with plain holes.


def _plain_parts(source: str) -> list[str | re.Match[str]] | None:
    """Texts and holes in turn, or None where the text needs Jinja2."""
    if "{%" in source or "{#" in source or "\r" in source:
        return None
    parts: list[str | re.Match[str]] = []
    at, end = 0, len(source) - source.endswith("\n")
    while (start := source.find("{{", at)) >= 0:
        hole = _HOLE.match(source, start)
        if hole is None or hole.group(1) in _NOT_PLAIN:
            return None
        parts += [source[at:start], hole]
        at = hole.end()
    parts.append(source[at : max(at, end)])
    return parts


def _filled_parts(plain: list[str | re.Match[str]], captured: Mapping[str, Any]) -> list[str | tuple[str]] | None:
    """Texts, and names of columns as tuples of one; None where a hole looks into a column, or prints null."""
    parts: list[str | tuple[str]] = []
    for part in plain:
        if isinstance(part, str):
            if part:
                parts.append(part)
        elif part.group(1) in captured:
            value = captured[part.group(1)]
            for key in part.group(2).split(".")[1:]:
                if not isinstance(value, Namespace) or key not in value:
                    return None
                value = value[key]
            if value is None:
                return None
            parts.append(str(value))
        elif part.group(2):
            return None
        else:
            parts.append((part.group(1),))
    return parts


def _plain_render(source: str, parts: list[str | tuple[str]]) -> Render:
    def render(row: Mapping[str, Any]) -> str:
        texts = []
        for part in parts:
            if part.__class__ is tuple:
                name = part[0]
                try:
                    part = row[name]
                except KeyError:
                    raise RowError(source, f"`{name}` is not defined", "", 0) from None
                if part is None:
                    raise RowError(source, f"`{name}` is null", f"write `{{{{ {name} or '' }}}}`{_OR_FILTER}", 0)
                if part.__class__ is not str:
                    part = str(part)
            texts.append(part)
        return "".join(texts)  # type: ignore[arg-type]

    return render


# Texts that need Jinja2.


def _parse_jinja(text: Text) -> ParsedTemplate:
    from jinja2 import TemplateSyntaxError

    from dreammake.lang.jinja_names import check_words, find_reads
    from dreammake.lang.jinja_sandbox import environment

    try:
        tree = environment().parse(text.value)
        check_words(tree, environment(), text)
        reads = find_reads(tree)
    except TemplateSyntaxError as error:
        message = re.sub(r"'([^']*)'", r"`\1`", (error.message or "").split(". ")[0].rstrip("."))
        start, end = wrong_part(text.value, error.lineno)
        fail("bad-template", "the template is wrong: " + message[:1].lower() + message[1:], place_in(text, start, end))
    except RecursionError:
        fail("too-deep", "a template that is nested too deeply", text.span)
    names: dict[str, Span] = {}
    chains: dict[str, set[Chain]] = {}
    for name, line, chain in reads:
        if name not in names:
            names[name] = find_name(text, name, line)
        chains.setdefault(name, set()).add(chain)
    return ParsedTemplate(names, chains)


def _jinja_render(source: str, captured: Mapping[str, Any]) -> Render:
    from dreammake.lang.jinja_sandbox import BUDGET, compile_source

    try:
        template = compile_source(source)
    except Exception as error:
        raise RowError(source, _in_words(error), "", 0) from None

    def render(row: Mapping[str, Any]) -> str:
        pieces, size = [], 0
        try:
            context = template.new_context({**captured, **row, BUDGET: Budget(ROW_STEPS)})
            for piece in template.root_render_func(context):
                size += len(piece)
                if size > MAX_TEXT:
                    raise TooMuch("too-large", f"this text would have more than {MAX_TEXT:,} characters")
                pieces.append(piece)
        except DreamError:
            raise
        except Exception as error:
            raise RowError(source, _in_words(error), getattr(error, "hint", ""), 0) from None
        return "".join(pieces)

    return render


def _in_words(error: Exception) -> str:
    if isinstance(error, TooMuch | Unfit):
        return error.message
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it takes too much memory"
    text = re.sub(r"'([^']*)'", r"`\1`", str(error).split("\n")[0]).rstrip(".")
    text = re.sub(r" is undefined$", " is not defined", text)
    return text or type(error).__name__
