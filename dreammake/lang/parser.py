"""Text to syntax tree: a LALR automaton over Lark's tables."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dreammake.core.diagnostic import DreamError, Errors
from dreammake.core.span import Source, Span
from dreammake.lang.build_syntax import Build, check_depth, makers_of
from dreammake.lang.grammar import Tables, load_tables
from dreammake.lang.indent import Cutter, Tokens
from dreammake.lang.limits import MAX_DEPTH
from dreammake.lang.syntax import Block, Expr, File, Text
from dreammake.lang.syntax_errors import Misread, bad_character, unexpected

Locate = Callable[[int], int]


def parse_file(source: Source) -> File:
    """The blocks of a whole file. Raises one DreamError with every mistake found."""
    errors = Errors()
    with _no_collection():
        docstring, blocks = _parse_parts(source, errors)
    errors.check()
    return File(source, docstring, tuple(blocks))


def parse_expression(text: str, source: Source, offset: int = 0) -> Expr:
    """The expression `text`, which begins at `offset` of the source. Raises DreamError."""
    return parse_hole(text, source, (lambda at: at + offset) if offset else None)


def parse_hole(text: str, source: Source, locate: Locate | None) -> Expr:
    """The expression `text`; `locate` maps its offsets to the source's. Raises DreamError."""
    wrong: list[Misread] = []
    expr = _expression(text, source, locate, wrong)
    if wrong:
        errors = Errors()
        for error in wrong:
            errors.take(DreamError(error.diagnostic(_placer(source))))
        errors.check()
    assert expr is not None
    return expr


def _parse_parts(source: Source, errors: Errors) -> tuple[Text | None, list[Block]]:
    tables = load_tables()
    docstring: Text | None = None
    blocks: list[Block] = []
    place = _placer(source)
    nul = source.text.find("\0")
    if nul >= 0:
        errors.take(DreamError(bad_character(source.text, nul).diagnostic(place)))
        return None, []
    for number, part in enumerate(Cutter(source.text, tables.literals).parts()):
        wrong: list[Misread] = []
        if isinstance(part, Misread):
            wrong.append(part)
        else:
            build = Build(part, source, _hole_parser(source, wrong), wrong)
            made = _run(tables, part, "top", build, wrong)
            if isinstance(made, Block):
                blocks.append(made)
                if len(part.kinds) > MAX_DEPTH:
                    _check_depths(made, wrong)
            elif isinstance(made, Text) and number == 0:
                docstring = made
            elif isinstance(made, Text):
                hint = "only a file and a rule have a docstring, as their first line; a comment begins with `#`"
                span = made.span.start, made.span.end
                wrong.append(Misread("misplaced-text", "a text stands alone here", *span, hint=hint))
        for error in wrong:
            errors.take(DreamError(error.diagnostic(place)))
    return docstring, blocks


def _check_depths(block: Block, wrong: list[Misread]) -> None:
    waiting = [block]
    while waiting:
        block = waiting.pop()
        wrong += [error for value in block.values if (error := check_depth(value)) is not None]
        waiting += block.blocks


def _hole_parser(source: Source, wrong: list[Misread]) -> Callable[[str, Locate], Expr]:
    """Parses the holes of f-strings. Raises the first mistake in one."""

    def parse(text: str, locate: Locate) -> Expr:
        found: list[Misread] = []
        expr = _expression(text, source, locate, found)
        if found:
            wrong.extend(found[1:])
            raise found[0]
        assert expr is not None
        return expr

    return parse


def _expression(text: str, source: Source, locate: Locate | None, wrong: list[Misread]) -> Expr | None:
    """Parse one expression; mistakes are collected with offsets of the source."""
    tables = load_tables()
    found: list[Misread] = []
    made: Expr | None = None
    within: list[Misread] = []
    try:
        tokens = Cutter(text, tables.literals).expression()
    except Misread as error:
        found.append(error)
    else:
        build = Build(tokens, source, _hole_parser(source, wrong), within, locate)
        made = _run(tables, tokens, "expression", build, found)
        if made is not None and len(text) > MAX_DEPTH and (deep := check_depth(made)) is not None:
            within.append(deep)
    if locate is not None:
        for mistake in found:
            mistake.move(locate)
    wrong += found + within
    return made


def _run(tables: Tables, tokens: Tokens, start: str, build: Build, wrong: list[Misread]) -> Any:
    """Run the automaton over the tokens; None, and one more thing wrong, where a token fits nowhere."""
    try:
        return _automaton(tables, tokens, start, build)
    except _Unexpected as error:
        wrong.append(unexpected(tokens, error.number, error.expected))
        return None


class _Unexpected(Exception):
    def __init__(self, number: int, expected: set[str]) -> None:
        self.number = number
        self.expected = expected


def _automaton(tables: Tables, tokens: Tokens, start: str, build: Build) -> Any:
    actions, rules, jumps, makers = tables.actions, tables.rules, tables.jumps, makers_of(tables)
    first, last = tables.starts[start]
    states, values = [first], []  # type: tuple[list[int], list[Any]]
    for number, kind in enumerate(tokens.kinds):
        while True:
            action = actions[states[-1]].get(kind)
            if action is None:
                if kind == "$END" and states[-1] == last:
                    return values[-1]
                raise _Unexpected(number, set(actions[states[-1]]))
            if action >= 0:
                states.append(action)
                values.append(number)
                break
            rule = rules[~action]
            size, make = rule.size, makers[~action]
            del states[-size:]
            if make is not None:
                values[-size:] = [make(build, values[-size:])]
            state = states[-1]
            to = jumps.get((state, rule.origin, kind))
            states.append(tables.jump(state, rule.origin, kind) if to is None else to)
    raise AssertionError("the tokens have no end")


def _placer(source: Source) -> Callable[[int, int], Span]:
    size = len(source.text)

    def place(start: int, end: int) -> Span:
        """A span inside the text, and never empty unless the text is."""
        start = min(start, max(0, size - 1))
        return Span(source, start, min(max(end, start + 1), size))

    return place


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage is made while parsing, so looking for it only costs time (a third of it)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
