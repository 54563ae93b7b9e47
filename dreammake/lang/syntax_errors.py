"""What is wrong with a text that is no Dreamfile, in words.

`Misread` holds offsets in the text that was read (a file, or a hole inside a text); the parser turns it into a
diagnostic with spans of the file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from dreammake.core.diagnostic import Diagnostic, Note
from dreammake.core.span import Span
from dreammake.lang.limits import MAX_DEPTH

if TYPE_CHECKING:
    from dreammake.lang.indent import Tokens

ABSENT_WORDS = {
    "lambda": "dreammake has no lambda",
    "await": "dreammake has no await",
    "yield": "dreammake has no yield",
    "async": "dreammake has no async",
    "import": "dreammake has no import",
    "def": "dreammake has no function definitions",
    "class": "dreammake has no classes",
    "return": "dreammake has no return",
    "with": "dreammake has no with",
    "while": "dreammake has no while",
    "del": "dreammake has no del",
    "global": "dreammake has no global",
    "nonlocal": "dreammake has no nonlocal",
    "assert": "dreammake has no assert",
    "raise": "dreammake has no raise",
    "try": "dreammake has no try",
}
"""Words of Python that can stand in no expression here."""
_PYTHON_STEP = 'for more than an expression, use the step `python: "file.py:function"`'
_VALUE_STARTS = {"NAME", "NUMBER", "STRING", "LPAR", "LSQB", "LBRACE", "NONE", "TRUE", "FALSE"}
_VALUE_ENDS = {"NAME", "NUMBER", "STRING", "RPAR", "RSQB", "RBRACE", "NONE", "TRUE", "FALSE"}
_LINE_EDGES = {"NEWLINE", "INDENT", "DEDENT"}
_QUOTES = {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "«": '"', "»": '"'}
_ODD_NAME = re.compile(r"[^\W\d]\w*[ \t]+(?P<name>[^\s:\"'(\[{=,]+)[ \t]*:(?:[ \t\r\n]|\Z)")
_ODD_KEY = re.compile(r"(?P<name>[^\s:\"'(\[{=,]+)[ \t]*:(?:[ \t\r\n]|\Z)")


class Misread(Exception):
    """One mistake. `resume` is the offset from which the next part of the file is looked for."""

    def __init__(
        self,
        code: str,
        message: str,
        start: int,
        end: int,
        *,
        label: str = "",
        hint: str = "",
        notes: tuple[tuple[str, int, int], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.start = start
        self.end = end
        self.label = label
        self.hint = hint
        self.notes = notes
        self.resume = start + 1

    def move(self, locate: Callable[[int], int]) -> None:
        """Map all offsets from the text that was read to the source."""
        self.start, self.end = locate(self.start), locate(max(self.start, self.end - 1)) + 1
        self.notes = tuple((message, locate(a), locate(b - 1) + 1) for message, a, b in self.notes)

    def diagnostic(self, place: Callable[[int, int], Span]) -> Diagnostic:
        notes = tuple(Note(message, place(start, end)) for message, start, end in self.notes)
        return Diagnostic(self.code, self.message, place(self.start, self.end), self.label, self.hint, notes)


# Found while cutting a text into tokens.


def unclosed_bracket(text: str, offset: int) -> Misread:
    closer = {"(": ")", "[": "]", "{": "}"}[text[offset]]
    message = f"`{text[offset]}` is never closed"
    return Misread("unclosed", message, offset, offset + 1, label="opened here", hint=f"close it with `{closer}`")


def stray_closer(text: str, offset: int, opener: int | None) -> Misread:
    closer = text[offset]
    if opener is None:
        message = f"`{closer}` closes nothing"
        return Misread("unclosed", message, offset, offset + 1, hint="delete it, or open it before")
    wanted = {"(": ")", "[": "]", "{": "}"}[text[opener]]
    return Misread(
        "unclosed",
        f"`{text[opener]}` is closed by `{closer}`",
        offset,
        offset + 1,
        label=f"`{wanted}` is expected before this",
        hint=f"close it with `{wanted}`",
        notes=((f"`{text[opener]}` is opened here", opener, opener + 1),),
    )


def tab_indent(text: str, offset: int) -> Misread:
    return Misread("tab-indent", "a tab in the indentation", offset, offset + 1, hint="indent with spaces, 4 a level")


def indented_top(text: str, start: int, end: int) -> Misread:
    hint = "begin the line at its left margin, or indent it under the block that it belongs to"
    return Misread("bad-indent", "this line is indented, and no block is open", start, end, hint=hint)


def bad_dedent(start: int, end: int, levels: list[int]) -> Misread:
    near = sorted(sorted(levels, key=lambda level: abs(level - (end - start)))[:2])
    return Misread(
        "bad-indent",
        "this indentation fits no line above",
        start,
        end,
        label=" or ".join(map(str, near)) + " spaces would fit",
        hint="indent the lines of one block equally",
    )


def too_deep(text: str, offset: int) -> Misread:
    return Misread("too-deep", f"more than {MAX_DEPTH} levels of nesting", offset, offset + 1)


def bad_character(text: str, offset: int) -> Misread:
    """A character with which no token begins: an open quote, most often."""
    character = text[offset]
    if character in "\"'":
        return _unclosed_text(text, offset)
    hint = ""
    if character == "\\":
        what, hint = "a backslash outside a text", "to go on in the next line, put the expression in brackets"
    elif character in _QUOTES:
        what, hint = f"a typographic quote `{character}`", f"use the straight quote `{_QUOTES[character]}`"
    elif character == ";":
        what, hint = "a semicolon", "write one block a line"
    elif character == "!":
        what, hint = "`!`", "write `not` before an expression, or `!=`"
    elif character == "@":
        what, hint = "`@`", "dreammake has no decorators and no `@` operator; a text needs quotes"
    elif character == "\0":
        what, hint = "a NUL character", "this looks like a binary file; a Dreamfile is UTF-8 text"
    elif character.isspace() or not character.isprintable():
        name = unicodedata.name(character, f"U+{ord(character):04X}").lower()
        what, hint = f"an invisible character ({name})", "delete it, or put a space"
    else:
        what, hint = f"`{character}`", "a text needs quotes"
    return Misread("stray-character", f"{what} stands where none can be", offset, offset + 1, hint=hint)


def _unclosed_text(text: str, offset: int) -> Misread:
    quote = text[offset]
    triple = text.startswith(quote * 3, offset)
    if triple:
        quote *= 3
    found = Misread(
        "unclosed",
        f"the text that begins with {quote} is never closed",
        offset,
        offset + len(quote),
        label="opened here",
        hint=f"close it with {quote}"
        + ("" if triple else f"; a text of several lines begins and ends with {quote * 3}"),
    )
    found.resume = offset + len(quote)
    return found


# Found while parsing tokens.


def unexpected(tokens: Tokens, number: int, expected: set[str]) -> Misread:
    """Why token `number` cannot stand where it does. `expected` are the terminals that could."""
    kind = tokens.kinds[number]
    start, end = _spot(tokens, number)
    if kind in ABSENT_WORDS:
        return Misread("unsupported", ABSENT_WORDS[kind], start, end, hint=_PYTHON_STEP)
    if kind == ":=":
        return Misread("unsupported", "dreammake has no `:=`", start, end, hint="put the value under `config:`")
    if kind == "INDENT":
        return _unexpected_indent(tokens, number)
    first = number
    while first > 0 and tokens.kinds[first - 1] not in _LINE_EDGES:
        first -= 1
    if tokens.kinds[first] == "KEY":
        return _in_values(tokens, number, first, expected)
    if "KEY" in expected or _looks_like_block(tokens, number, first):
        return _no_header(tokens, number, first)
    return _in_expression(tokens, number, expected)


def _spot(tokens: Tokens, number: int) -> tuple[int, int]:
    """Where to point: at the token, or just behind the one before it where it has no text."""
    start, end = tokens.starts[number], tokens.ends[number]
    if tokens.kinds[number] in ("NEWLINE", "DEDENT", "$END"):
        start = tokens.ends[number - 1] if number else min(start, max(0, len(tokens.text) - 1))
        end = min(start + 1, max(start, len(tokens.text)))
    return start, end


def _unexpected_indent(tokens: Tokens, number: int) -> Misread:
    return Misread(
        "bad-indent",
        "this line is indented more than the one above, which opens no block",
        tokens.starts[number],
        tokens.ends[number],
        hint="indent it as the line above; only a line `name: …` can have lines below it",
    )


def _looks_like_block(tokens: Tokens, number: int, first: int) -> bool:
    """A line that was meant as `name: value`: a word, and then a value with no operator between."""
    if tokens.kinds[first] == "STRING" and tokens.kinds[number] == "COLON" and number == first + 1:
        return True
    if tokens.kinds[first] != "NAME" or not (first and tokens.kinds[first - 1] in _LINE_EDGES):
        return False
    return number == first + 1 and tokens.kinds[number] in {*_VALUE_STARTS, "EQUAL", "NOT"}


def _no_header(tokens: Tokens, number: int, first: int) -> Misread:
    """A line that should be `name: …` and is not."""
    text, start = tokens.text, tokens.starts[first]
    word, kind = tokens.word(first), tokens.kinds[first]
    odd = _ODD_NAME.match(text, start) or _ODD_KEY.match(text, start)
    if odd is not None:
        name = re.sub(r"\W+", "_", odd["name"]).strip("_")
        return Misread(
            "bad-name",
            f"`{odd['name']}` is not a name",
            *odd.span("name"),
            label="letters, digits and _ only",
            hint=f"write `{name}`" if name and not name[0].isdigit() else "",
        )
    if kind == "STRING" and tokens.kinds[first + 1] == "COLON":
        hint = "write the name without quotes; for names with other characters, use a dict: `{" + word + ": …}`"
        return Misread("bad-name", "the name of a line has no quotes", start, tokens.ends[first], hint=hint)
    if kind == "STRING" and tokens.kinds[first + 1] == "NEWLINE":
        hint = "only a file and a rule have a docstring, as their first line"
        return Misread("misplaced-text", "a text stands alone here", start, tokens.ends[first], hint=hint)
    if kind in ABSENT_WORDS:
        return Misread("unsupported", ABSENT_WORDS[kind], start, tokens.ends[first], hint=_PYTHON_STEP)
    if kind != "NAME":
        shown = f"`{word}`" if word.strip() else "this"
        return Misread("expected", f"a line begins with a name, not with {shown}", *_spot(tokens, first))
    last = first
    while tokens.kinds[last + 1] == "NAME" and last == first:
        last += 1
    line = text[start : tokens.ends[last]]
    after = tokens.kinds[last + 1]
    if after == "EQUAL":
        message, spot = "a value is set with a colon, not with `=`", (tokens.starts[last + 1], tokens.ends[last + 1])
        return Misread("missing-colon", message, *spot, hint=f"write `{line}: …`")
    rest = text[tokens.ends[last] :].split("\n", 1)[0].strip()
    last_end = tokens.ends[last]
    if last > first and after == "NEWLINE" and word not in ("rule", "model", "train"):
        last_end, line, rest = tokens.ends[first], word, tokens.word(last)
    shown = f"{line}: {rest}" if rest and len(rest) < 40 else f"{line}:"
    return Misread("missing-colon", f"no colon after `{line}`", start, last_end, hint=f"write `{shown}`")


def _in_values(tokens: Tokens, number: int, first: int, expected: set[str]) -> Misread:
    """A mistake after the colon of `name: …`."""
    colon = first + 1 if tokens.kinds[first + 1] == "COLON" else first + 2
    kind = tokens.kinds[number]
    start = tokens.ends[colon]
    line = tokens.text[start:].split("\n", 1)[0]
    value = line.split(" #")[0].strip()
    plain = value and not re.search(r"[\"'(\[{]", value)
    if plain and kind != "NEWLINE" and number > colon and tokens.starts[number] < start + len(line):
        words = number > colon + 1 and kind in _VALUE_STARTS and tokens.kinds[number - 1] in _VALUE_ENDS
        path = re.match(r"[\w.~-]*(?:/|\./|\w+://)", value)
        if path or (words and kind == "NAME"):
            begin = start + line.index(value)
            what = "a path" if path else "a text"
            return Misread(
                "missing-quotes",
                f"{what} without quotes",
                begin,
                begin + len(value),
                hint=f'write `"{value}"`' if len(value) < 60 else "put quotes around it",
            )
    if kind == "EQUAL" and _depth(tokens, colon, number) == 0:
        name = tokens.word(number - 1)
        hint = f"give names in an indented block, one a line: `{name}: …`" if number > colon + 1 else "delete the `=`"
        return Misread("missing-colon", "a value is set with a colon, not with `=`", *_spot(tokens, number), hint=hint)
    if kind == "COLON" and _depth(tokens, colon, number) == 0 and tokens.kinds[number - 1] in _VALUE_ENDS:
        hint = "begin a new line for the next block; a dict stands in `{}`"
        return Misread("expected", "a second colon in one line", *_spot(tokens, number), hint=hint)
    return _in_expression(tokens, number, expected)


def _depth(tokens: Tokens, first: int, number: int) -> int:
    kinds = tokens.kinds[first:number]
    return sum(k in ("LPAR", "LSQB", "LBRACE") for k in kinds) - sum(k in ("RPAR", "RSQB", "RBRACE") for k in kinds)


def _in_expression(tokens: Tokens, number: int, expected: set[str]) -> Misread:
    kind, spot = tokens.kinds[number], _spot(tokens, number)
    before = tokens.kinds[number - 1] if number else ""
    if kind == "STRING" and before == "STRING":
        hint = "put a comma between them, or `+` to join them"
        return Misread("missing-comma", "two texts stand side by side", *spot, hint=hint)
    if kind in _VALUE_STARTS and before in _VALUE_ENDS and "COMMA" in expected:
        hint = "put a comma between them" if kind != "NAME" else "put a comma or an operator between them"
        return Misread("missing-comma", "two values stand side by side", *spot, hint=hint)
    if "ELSE" in expected and "NAME" not in expected and "IF" in _open_kinds(tokens, number):
        hint = "write `a if test else b`; `None` stands for nothing"
        return Misread("expected", "an `if` without its `else`", *spot, hint=hint)
    if kind == "EQUAL":
        hint = "`==` compares; in a dict, a colon stands between key and value"
        return Misread("expected", "`=` stands where none can be", *spot, hint=hint)
    found = _name_of(tokens, number)
    wanted = _words_of(expected)
    if "NAME" in expected and before and before not in _LINE_EDGES:
        return Misread("expected", f"a value is expected after `{tokens.word(number - 1)}`, not {found}", *spot)
    return Misread("expected", f"{wanted} is expected, not {found}", *spot)


def _open_kinds(tokens: Tokens, number: int) -> list[str]:
    """Terminals between the last opening bracket or line edge and here."""
    first = number
    while first > 0 and tokens.kinds[first - 1] not in {*_LINE_EDGES, "LPAR", "LSQB", "LBRACE", "COMMA"}:
        first -= 1
    return tokens.kinds[first:number]


def _name_of(tokens: Tokens, number: int) -> str:
    kind = tokens.kinds[number]
    if kind in ("NEWLINE", "DEDENT", "$END"):
        at_end = not tokens.text[tokens.starts[number] :].strip()
        return "the end of the text" if at_end else "the end of the line"
    word = tokens.word(number)
    return f"`{word}`" if len(word) < 40 and "\n" not in word else "a text"


def _words_of(expected: set[str]) -> str:
    """The terminals that could stand here, in words."""
    if "NAME" in expected and "NUMBER" in expected:
        return "a value"
    if "NAME" in expected:
        return "a name"
    words = {"RPAR": "`)`", "RSQB": "`]`", "RBRACE": "`}`", "COLON": "`:`", "IN": "`in`", "ELSE": "`else`"}
    words |= {"COMMA": "`,`", "NEWLINE": "the end of the line", "$END": "the end", "EQUAL": "`=`"}
    found = [word for kind, word in words.items() if kind in expected]
    return " or ".join(found) if found else "the end"
