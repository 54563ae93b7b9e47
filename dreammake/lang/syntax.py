"""The syntax tree: frozen, with a span on every node. It may be wrong; `resolve` judges it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dreammake.core.span import Source, Span


@dataclass(frozen=True, slots=True)
class Node:
    span: Span


# Blocks: the one shape of the language.


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`KEYWORD [NAME] ":" [VALUES] NEWLINE [INDENT blocks DEDENT]`; `span` covers its first line up to the colon."""

    keyword: str
    keyword_span: Span
    name: str | None
    name_span: Span | None
    values: tuple[Expr, ...]
    blocks: tuple[Block, ...]
    docstring: Text | None = None
    """A string that stands alone as the first line of the block."""


@dataclass(frozen=True, slots=True)
class File:
    """One file: its docstring and its blocks."""

    source: Source
    docstring: Text | None
    blocks: tuple[Block, ...]


# Expressions: a pure subset of Python's.


@dataclass(frozen=True, slots=True)
class Expr(Node):
    pass


@dataclass(frozen=True, slots=True)
class Constant(Expr):
    """None, True, False, or a number."""

    value: Any


@dataclass(frozen=True, slots=True)
class Text(Expr):
    """A string literal that is no f-string.

    `value` is what it says: escapes read; a triple-quoted one dedented and stripped. `origins` maps offsets in
    `value` to offsets in the source, a (value offset, source offset) pair wherever the distance changes, so that
    a place inside a template or a pattern can be shown.
    """

    value: str
    origins: tuple[tuple[int, int], ...]

    def place(self, start: int, end: int) -> Span:
        """The span in the source of `value[start:end]`."""
        return Span(self.span.source, self._origin(start), self._origin(max(start, end - 1)) + 1)

    def _origin(self, offset: int) -> int:
        found = 0, self.span.start
        for pair in self.origins:
            if pair[0] > offset:
                break
            found = pair
        return found[1] + offset - found[0]


@dataclass(frozen=True, slots=True)
class FormatText(Expr):
    """An f-string, or a path pattern: texts and holes in turn."""

    parts: tuple[Text | Hole, ...]


@dataclass(frozen=True, slots=True)
class Hole(Expr):
    """`{value}`, `{value!r}`, `{value:02d}` in an f-string."""

    value: Expr
    conversion: str = ""
    format: FormatText | None = None


@dataclass(frozen=True, slots=True)
class Name(Expr):
    id: str


@dataclass(frozen=True, slots=True)
class Attribute(Expr):
    value: Expr
    name: str
    name_span: Span


@dataclass(frozen=True, slots=True)
class Index(Expr):
    value: Expr
    index: Expr


@dataclass(frozen=True, slots=True)
class Slice(Expr):
    """`[lower:upper:step]`: only as the index of an Index."""

    lower: Expr | None
    upper: Expr | None
    step: Expr | None


@dataclass(frozen=True, slots=True)
class Sequence(Expr):
    kind: Literal["list", "tuple"]
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Dict(Expr):
    items: tuple[tuple[Expr, Expr], ...]


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    operator: Literal["-", "+", "not", "~"]
    value: Expr


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    operator: Literal["+", "-", "*", "/", "//", "%", "**", "|", "&", "^", "<<", ">>"]
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """`first op[0] rest[0] op[1] rest[1] …`"""

    first: Expr
    operators: tuple[str, ...]
    rest: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Logic(Expr):
    operator: Literal["and", "or"]
    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Expr):
    """`then if test else other`"""

    test: Expr
    then: Expr
    other: Expr


@dataclass(frozen=True, slots=True)
class For:
    """`for targets in items if tests…`; several targets unpack."""

    targets: tuple[str, ...]
    items: Expr
    tests: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Comprehension(Expr):
    """A list, dict, set-free comprehension, or a generator (`any(x for x in y)`), which is read as a list."""

    kind: Literal["list", "dict"]
    key: Expr | None
    value: Expr
    clauses: tuple[For, ...]


@dataclass(frozen=True, slots=True)
class Call(Expr):
    function: Expr
    args: tuple[Expr, ...]
    kwargs: tuple[tuple[str, Expr], ...]
    """Keyword arguments; `**mapping` has the name "**"."""


# Path patterns: strings in `input` and `output`.


@dataclass(frozen=True, slots=True)
class PatternHole(Node):
    """`{r - 1}` in an input, `{r:int}` or `{lang:[a-z]{2}}` in an output."""

    value: Expr
    constraint: str | None = None


@dataclass(frozen=True, slots=True)
class Pattern(Node):
    """A path with holes; `{{` and `}}` stand for braces."""

    parts: tuple[str | PatternHole, ...]
