"""Tokens of a Dreamfile, with its indentation as INDENT and DEDENT.

A file is cut into parts, one a block of indentation 0. A part that cannot be cut into tokens is reported and left
out, and the next one is read as if nothing had happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dreammake.lang import syntax_errors as wrong
from dreammake.lang.limits import MAX_DEPTH

_STRING = r"""(?P<STRING>(?:[rRfFbBuU]{1,2})?(?:
      \"\"\"[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+\"\"\"
    | '''[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*+'''
    | "(?!"")[^"\\\r\n]*+(?:\\(?:\r\n|.)[^"\\\r\n]*+)*+"
    | '(?!'')[^'\\\r\n]*+(?:\\(?:\r\n|.)[^'\\\r\n]*+)*+'
    | ""(?!") | ''(?!')
    ))"""
_TOKEN = re.compile(
    r"""[ \t]*(?:
      (?P<NEWLINE>(?:\#[^\n]*)?(?:\r?\n|\r?\Z))
    | """
    + _STRING
    + r"""
    | (?P<NAME>[^\W\d]\w*)
    | (?P<NUMBER>(?:0[xXbBoO]\w*|(?:\d[\d_]*\.?|\.\d)[\d_]*(?:[eE][+-]?\d[\d_]*)?\w*))
    | (?P<OPERATOR>\*\*|//|<<|>>|<=|>=|==|!=|:=|[-+*/%|&^~<>=.,:()\[\]{}])
    | (?P<BAD>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*(?P<indent>[ \t]*)")
_LAST_LINE = re.compile(r"(?:#[^\n]*)?\r?\Z")
_HEADER = re.compile(r"([^\W\d]\w*)(?:[ \t]+([^\W\d]\w*))?[ \t]*(:)(?!=)")
_NEXT_PART = re.compile(r"^[^\W\d]\w*(?:[ \t]+[^\W\d]\w*)?[ \t]*:", re.MULTILINE)
_CLOSER = {"(": ")", "[": "]", "{": "}"}
_KEYWORD_ARGUMENT = re.compile(r"[ \t]*=(?!=)")


class Tokens:
    """The tokens of one part, as parallel lists: terminal, start and end of each. The last one is `$END`."""

    __slots__ = ("ends", "kinds", "starts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.kinds: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, kind: str, start: int, end: int) -> None:
        self.kinds.append(kind)
        self.starts.append(start)
        self.ends.append(end)

    def word(self, number: int) -> str:
        return self.text[self.starts[number] : self.ends[number]]


class Cutter:
    """Cuts one text into tokens. `literals` are the operators and keywords of the grammar."""

    def __init__(self, text: str, literals: dict[str, str]) -> None:
        self.text = text
        self.literals = literals
        self.tokens = Tokens(text)
        self.levels = [0]

    def parts(self) -> Iterator[Tokens | wrong.Misread]:
        """The parts of a file in order, or what is wrong with one. Offsets in the errors are spans of the text."""
        at = 1 if self.text.startswith("\ufeff") else 0
        while at < len(self.text):
            begin = at
            self.tokens = Tokens(self.text)
            self.levels = [0]
            try:
                at = self._part(at)
            except wrong.Misread as error:
                at = self._next_part(max(begin, error.resume))
                yield error
                continue
            if self.tokens.kinds:
                yield self.tokens

    def expression(self) -> Tokens:
        """The whole text as the tokens of one expression: line ends do not count."""
        at = 0
        brackets: list[int] = []
        while at < len(self.text):
            at = self._token(at, brackets)
            if self.tokens.kinds and self.tokens.kinds[-1] == "NEWLINE":
                self.tokens.kinds.pop(), self.tokens.starts.pop(), self.tokens.ends.pop()
        if brackets:
            raise wrong.unclosed_bracket(self.text, brackets[-1])
        self.tokens.add("$END", at, at)
        return self.tokens

    def _next_part(self, at: int) -> int:
        found = _NEXT_PART.search(self.text, at)
        return found.start() if found else len(self.text)

    def _part(self, at: int) -> int:
        """Cut one part; returns where the next begins."""
        text, tokens, levels = self.text, self.tokens, self.levels
        while True:
            blank = _BLANK.match(text, at)
            assert blank is not None
            start, at = blank.start("indent"), blank.end()
            if _LAST_LINE.match(text, at):
                start = at = len(text)
            if tokens.kinds and start == at:
                for _ in levels[1:]:
                    tokens.add("DEDENT", at, at)
                tokens.add("$END", at, at)
                return at
            if at == len(text):
                return at
            self._indentation(start, at)
            at = self._line(at)

    def _indentation(self, start: int, end: int) -> None:
        tab = self.text.find("\t", start, end)
        if tab >= 0:
            raise wrong.tab_indent(self.text, tab)
        levels, width = self.levels, end - start
        if width > levels[-1]:
            if not self.tokens.kinds:
                raise wrong.indented_top(self.text, start, end)
            if len(levels) > MAX_DEPTH:
                raise wrong.too_deep(self.text, end)
            levels.append(width)
            self.tokens.add("INDENT", start, end)
        else:
            if width not in levels:
                raise wrong.bad_dedent(start, end, levels)
            while width < levels[-1]:
                levels.pop()
                self.tokens.add("DEDENT", end, end)

    def _line(self, at: int) -> int:
        """Cut one logical line, which may hold several physical ones in brackets and strings."""
        text, tokens = self.text, self.tokens
        header = _HEADER.match(text, at)
        if header is not None:
            tokens.add("KEY", header.start(1), header.end(1))
            if header.group(2) is not None:
                tokens.add("KEY", header.start(2), header.end(2))
            at = header.end()
            tokens.add("COLON", at - 1, at)
        brackets: list[int] = []
        while True:
            at = self._token(at, brackets)
            if tokens.kinds[-1] == "NEWLINE":
                if not brackets:
                    return at
                tokens.kinds.pop(), tokens.starts.pop(), tokens.ends.pop()
                if at == len(text):
                    raise wrong.unclosed_bracket(text, brackets[-1])

    def _token(self, at: int, brackets: list[int]) -> int:
        """Cut one token; returns its end. `brackets` are the offsets of those that are open."""
        match = _TOKEN.match(self.text, at)
        assert match is not None
        kind = match.lastgroup or ""
        start, end = match.span(kind)
        if kind == "NAME":
            word = match.group(kind)
            if word in self.literals or word in wrong.ABSENT_WORDS:
                kind = self._keyword(word, end)
        elif kind == "OPERATOR":
            word = match.group(kind)
            kind = self.literals.get(word, word)
            if word in "([{":
                brackets.append(start)
                if len(brackets) > MAX_DEPTH:
                    raise wrong.too_deep(self.text, start)
            elif word in ")]}":
                if not brackets or _CLOSER[self.text[brackets[-1]]] != word:
                    raise wrong.stray_closer(self.text, start, brackets[-1] if brackets else None)
                brackets.pop()
        elif kind == "BAD":
            raise wrong.bad_character(self.text, start)
        self.tokens.add(kind, start, end)
        return end

    def _keyword(self, word: str, end: int) -> str:
        """A keyword, unless it stands where only a name can: after a dot, or before the `=` of an argument."""
        kinds = self.tokens.kinds
        if (kinds and kinds[-1] == "DOT") or _KEYWORD_ARGUMENT.match(self.text, end):
            return "NAME"
        return self.literals.get(word, word)
