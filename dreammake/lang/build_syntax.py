"""Makes the nodes of the syntax tree, one method for each alternative of the grammar.

A method gets the values of its symbols: the number of a token for a terminal, and what another method made for a
nonterminal. What is wrong with a single node (a bad escape, a set) is collected, so that parsing goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from dreammake.core.span import Source, Span
from dreammake.lang.format_text import Parse, read_format_text
from dreammake.lang.grammar import Tables
from dreammake.lang.indent import Tokens
from dreammake.lang.limits import MAX_BITS, MAX_DEPTH
from dreammake.lang.syntax import (
    Attribute,
    Binary,
    Block,
    Call,
    Compare,
    Comprehension,
    Conditional,
    Constant,
    Dict,
    Expr,
    For,
    FormatText,
    Index,
    Logic,
    Name,
    Sequence,
    Slice,
    Text,
    Unary,
)
from dreammake.lang.syntax_errors import Misread
from dreammake.lang.text_literal import read_raw, unescape

_CONSTANTS = {"None": None, "True": True, "False": False}
Parts = list[Any]
Header = tuple[Span, str, Span, str | None, Span | None, list[Expr]]
Chain = tuple[list[Expr], list[Any]]


class Build:
    """Works on one run of tokens. `locate` maps their offsets to those of the source, where they differ.

    `parse` reads the expression of a hole in an f-string; `wrong` gets what is wrong with single nodes.
    """

    __slots__ = ("locate", "parse", "source", "tokens", "wrong")

    def __init__(
        self,
        tokens: Tokens,
        source: Source,
        parse: Parse,
        wrong: list[Misread],
        locate: Callable[[int], int] | None = None,
    ) -> None:
        self.tokens = tokens
        self.source = source
        self.parse = parse
        self.wrong = wrong
        self.locate = locate

    def span(self, first: int, last: int) -> Span:
        """From the start of one token to the end of another."""
        start, end = self.tokens.starts[first], self.tokens.ends[last]
        if self.locate is not None:
            start, end = self.locate(start), self.locate(max(start, end - 1)) + 1
        return Span(self.source, start, end)

    def _refuse(self, span: Span, message: str, hint: str = "") -> None:
        self.wrong.append(Misread("unsupported", message, span.start, span.end, hint=hint))

    # Lists of any nonterminal.

    def first(self, c: Parts) -> list[Any]:
        return [c[0]]

    def and_next(self, c: Parts) -> list[Any]:
        c[0].append(c[1])
        return c[0]  # type: ignore[no-any-return]

    def and_later(self, c: Parts) -> list[Any]:
        c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]

    def only(self, c: Parts) -> list[Any]:
        return c[0]  # type: ignore[no-any-return]

    # Blocks.

    def header(self, c: Parts) -> Header:
        word = self.tokens.word
        values = c.pop() if isinstance(c[-1], list) else []
        key, colon = c[0], c[-1]
        if len(c) == 3:
            return self.span(key, colon), word(key), self.span(key, key), word(c[1]), self.span(c[1], c[1]), values
        return self.span(key, colon), word(key), self.span(key, key), None, None, values

    def leaf(self, c: Parts) -> Block:
        span, keyword, keyword_span, name, name_span, values = c[0]
        return Block(span, keyword, keyword_span, name, name_span, tuple(values), ())

    def block(self, c: Parts) -> Block:
        span, keyword, keyword_span, name, name_span, values = c[0]
        return Block(span, keyword, keyword_span, name, name_span, tuple(values), tuple(c[3]))

    def top_block(self, c: Parts) -> Block:
        span, keyword, keyword_span, name, name_span, values = c[0]
        docstring = c[3] if isinstance(c[3], Text) else None
        blocks = tuple(c[-2]) if isinstance(c[-2], list) else ()
        return Block(span, keyword, keyword_span, name, name_span, tuple(values), blocks, docstring)

    def block_of_values(self, c: Parts) -> Block:
        """Values on lines of their own below the colon."""
        span, keyword, keyword_span, name, name_span, values = c[0]
        below, blocks = c[3], tuple(c[4]) if len(c) == 6 else ()
        if values:
            place = below[0].span
            hint = "put all values behind the colon, or all below it"
            self.wrong.append(Misread("misplaced-text", "a value stands alone here", place.start, place.end, hint=hint))
        return Block(span, keyword, keyword_span, name, name_span, tuple(below), blocks)

    def value_line(self, c: Parts) -> list[Expr]:
        return c[0]  # type: ignore[no-any-return]

    def more_value_lines(self, c: Parts) -> list[Expr]:
        above, below = c[0], c[1]
        newline = below[0].span
        if not self._ends_in_comma(above[-1], below[0]):
            hint = "put a comma at the end of the line above"
            place = newline.start, newline.end
            self.wrong.append(Misread("missing-comma", "no comma between two values", *place, hint=hint))
        return above + below  # type: ignore[no-any-return]

    def _ends_in_comma(self, above: Expr, below: Expr) -> bool:
        between = self.source.text[above.span.end : below.span.start]
        return any("," in line.split("#")[0] for line in between.split("\n"))

    def docstring(self, c: Parts) -> Text:
        found = self.text(c)
        if isinstance(found, FormatText):
            self._refuse(found.span, "a docstring is no f-string", "delete the `f`")
            return Text(found.span, "", ())
        return found

    file_docstring = docstring

    # Expressions.

    def conditional(self, c: Parts) -> Expr:
        return Conditional(c[0].span.to(c[4].span), c[2], c[0], c[4])

    def chain(self, c: Parts) -> Chain:
        return [c[0], c[2]], [c[1]]

    def longer_chain(self, c: Parts) -> Chain:
        items, operators = c[0]
        items.append(c[2])
        operators.append(c[1])
        return c[0]  # type: ignore[no-any-return]

    def logic(self, c: Parts) -> Expr:
        values, operators = c[0]
        word = self.tokens.word(operators[0])
        return Logic(values[0].span.to(values[-1].span), word, tuple(values))  # type: ignore[arg-type]

    def comparator(self, c: Parts) -> str:
        return " ".join(self.tokens.word(number) for number in c)

    def compare(self, c: Parts) -> Expr:
        values, operators = c[0]
        for operator, right in zip(operators, values[1:], strict=True):
            known = isinstance(right, Constant) and (right.value is None or isinstance(right.value, bool))
            if operator in ("is", "is not") and not known:
                sign = "==" if operator == "is" else "!="
                self._refuse(right.span, f"`{operator}` is for None, True and False only", f"compare with `{sign}`")
        return Compare(values[0].span.to(values[-1].span), values[0], tuple(operators), tuple(values[1:]))

    def unary(self, c: Parts) -> Expr:
        value = c[1]
        start = self.span(c[0], c[0])
        return Unary(start.to(value.span), self.tokens.word(c[0]), value)  # type: ignore[arg-type]

    def binary(self, c: Parts) -> Expr:
        left, right = c[0], c[2]
        return Binary(left.span.to(right.span), self.tokens.word(c[1]), left, right)  # type: ignore[arg-type]

    def attribute(self, c: Parts) -> Expr:
        name, place = self.tokens.word(c[2]), self.span(c[2], c[2])
        if name.startswith("_"):
            message = f"`{name}` cannot be read: a name behind a dot does not start with `_`"
            self.wrong.append(Misread("private-name", message, place.start, place.end))
        return Attribute(c[0].span.to(place), c[0], name, place)

    def call(self, c: Parts) -> Expr:
        args: list[Expr] = []
        kwargs: dict[str, Expr] = {}
        spread: list[tuple[str, Expr]] = []
        for name, value in c[2] if isinstance(c[2], list) else ():
            if name == "**":
                spread.append((name, value))
            elif name is not None:
                if name in kwargs:
                    self._refuse(value.span, f"the argument `{name}` is given twice", "delete one")
                kwargs[name] = value
            else:
                if kwargs or spread:
                    self._refuse(value.span, "a value follows a named argument", "put it before, or give it a name")
                args.append(value)
        span = c[0].span.to(self.span(c[-1], c[-1]))
        return Call(span, c[0], tuple(args), (*kwargs.items(), *spread))

    def call_generator(self, c: Parts) -> Expr:
        inside = Comprehension(self.span(c[1], c[4]), "list", None, c[2], tuple(c[3]))
        return Call(c[0].span.to(self.span(c[4], c[4])), c[0], (inside,), ())

    def positional(self, c: Parts) -> tuple[None, Expr]:
        return None, c[0]

    def keyword(self, c: Parts) -> tuple[str, Expr]:
        return self.tokens.word(c[0]), c[2]

    def spread(self, c: Parts) -> tuple[str, Expr]:
        return "**", c[1]

    def star(self, c: Parts) -> Any:
        place = self.span(c[0], c[0])
        self._refuse(place, "dreammake has no `*` before a value", "write the values out, or join lists with `+`")
        return None, c[1]

    def index(self, c: Parts) -> Expr:
        return Index(c[0].span.to(self.span(c[3], c[3])), c[0], c[2])

    def slice(self, c: Parts) -> Expr:
        parts: list[Expr | None] = [None, None, None]
        at = 0
        for value in c:
            if isinstance(value, int):
                at += 1
            else:
                parts[at] = value
        begin = self.span(c[0], c[0]) if isinstance(c[0], int) else c[0].span
        end = self.span(c[-1], c[-1]) if isinstance(c[-1], int) else c[-1].span
        return Slice(begin.to(end), *parts)

    # Atoms.

    def name(self, c: Parts) -> Expr:
        return Name(self.span(c[0], c[0]), self.tokens.word(c[0]))

    def constant(self, c: Parts) -> Expr:
        return Constant(self.span(c[0], c[0]), _CONSTANTS[self.tokens.word(c[0])])

    def number(self, c: Parts) -> Expr:
        span, word = self.span(c[0], c[0]), self.tokens.word(c[0])
        try:
            return Constant(span, _number(word))
        except Misread as error:
            self.wrong.append(Misread(error.code, error.message, span.start, span.end, hint=error.hint))
            return Constant(span, 0)

    def text(self, c: Parts) -> Text | FormatText:
        span = self.span(c[0], c[0])
        literal = self.tokens.word(c[0])
        try:
            if self.locate is not None:
                return self._text_in_text(literal, self.tokens.starts[c[0]], span)
            raw = read_raw(literal, span.start)
            if raw.is_format:
                return read_format_text(raw, self.source, span, self.parse)
            value, origins = unescape(raw, 0, len(raw.text))
            return Text(span, value, tuple(origins))
        except Misread as error:
            self.wrong.append(error)
            return Text(span, "", ((0, span.start),))

    def _text_in_text(self, literal: str, start: int, span: Span) -> Text | FormatText:
        """A text inside a hole of another: all offsets go through `locate`."""
        locate = self.locate
        assert locate is not None
        raw = read_raw(literal, start)
        raw = replace(raw, origins=[(at, locate(origin)) for at, origin in raw.origins])
        if raw.is_format:
            return read_format_text(raw, self.source, span, self.parse)
        value, origins = unescape(raw, 0, len(raw.text))
        return Text(span, value, tuple(origins))

    def group(self, c: Parts) -> Expr:
        return replace(c[1], span=self.span(c[0], c[2]))  # type: ignore[no-any-return]

    def sequence(self, c: Parts) -> Expr:
        items = c[1] if isinstance(c[1], list) else []
        kind = "list" if self.tokens.kinds[c[0]] == "LSQB" else "tuple"
        return Sequence(self.span(c[0], c[-1]), kind, self._items(items))  # type: ignore[arg-type]

    def tuple_of_one(self, c: Parts) -> Expr:
        return Sequence(self.span(c[0], c[3]), "tuple", (c[1],))

    def tuple_of_more(self, c: Parts) -> Expr:
        return Sequence(self.span(c[0], c[-1]), "tuple", self._items([c[1], *c[3]]))

    def _items(self, items: list[Any]) -> tuple[Expr, ...]:
        return tuple(item[1] if isinstance(item, tuple) else item for item in items)

    def dict(self, c: Parts) -> Expr:
        pairs = c[1] if isinstance(c[1], list) else []
        return Dict(self.span(c[0], c[-1]), tuple(pairs))

    def set(self, c: Parts) -> Expr:
        span = self.span(c[0], c[-1])
        self._refuse(span, "dreammake has no sets", "use a list `[…]`; a dict has `key: value`")
        return Sequence(span, "list", ())

    def pair(self, c: Parts) -> tuple[Expr, Expr]:
        return c[0], c[2]

    def spread_pair(self, c: Parts) -> tuple[Expr, Expr]:
        self._refuse(self.span(c[0], c[0]), "dreammake has no `**` in a dict", "join dicts with `|`")
        return c[1], c[1]

    def list_comprehension(self, c: Parts) -> Expr:
        return Comprehension(self.span(c[0], c[3]), "list", None, c[1], tuple(c[2]))

    generator = list_comprehension

    def dict_comprehension(self, c: Parts) -> Expr:
        return Comprehension(self.span(c[0], c[3]), "dict", c[1][0], c[1][1], tuple(c[2]))

    def clause(self, c: Parts) -> For:
        names = tuple(self.tokens.word(number) for number in c[1])
        return For(names, c[3], tuple(c[4]) if len(c) == 5 else ())

    def names_in_brackets(self, c: Parts) -> list[int]:
        return c[1]  # type: ignore[no-any-return]

    def test(self, c: Parts) -> list[Expr]:
        return [c[1]]

    def more_tests(self, c: Parts) -> list[Expr]:
        c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]


@cache
def makers_of(tables: Tables) -> list[Callable[[Build, Parts], Any] | None]:
    """The method for each rule of the tables."""
    return [getattr(Build, rule.make) if rule.make else None for rule in tables.rules]


def _number(word: str) -> int | float:
    """The value of a number literal. Raises Misread (its place is the caller's to fill in)."""
    if word.isdecimal() and word.isascii() and len(word) < 16 and (word[0] != "0" or word == "0"):
        return int(word)
    if len(word) > MAX_BITS:
        raise Misread("too-large", "this number has too many digits", 0, 0)
    try:
        value = float(word) if _is_float(word) else int(word, 0)
    except ValueError:
        zero = word.isdigit() and word[0] == "0"
        hint = f"write {word.lstrip('0') or 0}, or quotes around a text" if zero else "a text needs quotes"
        raise Misread("bad-number", f"`{word[:40]}` is not a number", 0, 0, hint=hint) from None
    if value in (float("inf"), float("-inf")) or (isinstance(value, int) and value.bit_length() > MAX_BITS):
        raise Misread("too-large", "this number is too large", 0, 0)
    return value


def _is_float(word: str) -> bool:
    return word[:2].lower() not in ("0x", "0b", "0o") and any(mark in word for mark in ".eE")


def check_depth(expr: Expr) -> Misread | None:
    """An error where the tree is deeper than a recursive walk should go. Walks without recursion."""
    waiting: list[tuple[Any, int]] = [(expr, 1)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, tuple):
            waiting += [(item, depth) for item in node]
            continue
        if depth > MAX_DEPTH:
            span = expr.span
            hint = "cut it into parts, under `config:` say"
            return Misread(
                "too-deep", f"an expression with more than {MAX_DEPTH} levels", span.start, span.end, hint=hint
            )
        deeper = isinstance(node, Expr)
        for slot in _slots(type(node)):
            child = getattr(node, slot)
            if isinstance(child, tuple | Expr | For):
                waiting.append((child, depth + deeper))
    return None


def _slots(kind: type) -> tuple[str, ...]:
    return tuple(name for name in getattr(kind, "__match_args__", ()) if name != "span")
