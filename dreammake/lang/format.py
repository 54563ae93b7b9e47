"""The canonical layout of a Dreamfile: what `dreammake fmt` writes.

Four spaces a level, one blank line between top-level blocks, never two anywhere, one space after the colon, two
before a comment at the end of a line. Expressions and comments stay as they are written; only the lines of a long
one move with their block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.span import Source
from dreammake.lang.grammar import load_tables
from dreammake.lang.indent import Cutter, Tokens
from dreammake.lang.parser import parse_file
from dreammake.lang.syntax import Block, File
from dreammake.lang.tree_json import to_json

_INDENT = 4
_TRIPLE = re.compile(r"[A-Za-z]*(?:\"\"\"|''')")


@dataclass(frozen=True, slots=True)
class _Line:
    """One logical line: its level and column, and the offsets of its text, of its end, and of what follows."""

    level: int
    column: int
    start: int
    end: int
    after: int
    tokens: Tokens
    first: int
    last: int


def format_file(file: File) -> str:
    """The file's text in canonical layout, with the same meaning and all comments. A layout that would change
    the meaning (it never should) is not used: the text then comes back as it was."""
    text = file.source.text.replace("\r\n", "\n").removeprefix("\ufeff")
    laid_out = _laid_out(text)
    try:
        same = _meaning(parse_file(Source(file.source.path, laid_out))) == _meaning(file)
    except DreamError:
        same = False
    return laid_out if same else text


def _laid_out(text: str) -> str:
    out: list[str] = []
    at = 0
    columns = [0]
    for line in _lines(text):
        gap = text[at : line.start].split("\n")[:-1]
        out += _comments(gap, columns, line)
        del columns[line.level :]
        columns.append(line.column)
        out.append(_line_text(text, line))
        at = line.after
    out += _comments(text[at:].split("\n"), columns, None)
    return "\n".join(_spaced(out)).strip("\n") + "\n" if any(out) else ""


def _lines(text: str) -> Iterator[_Line]:
    """The logical lines of a text that parses."""
    for tokens in Cutter(text, load_tables().literals).parts():
        assert isinstance(tokens, Tokens)
        level = first = 0
        for number, kind in enumerate(tokens.kinds):
            if kind in ("INDENT", "DEDENT"):
                level += 1 if kind == "INDENT" else -1
                first = number + 1
            elif kind == "NEWLINE":
                start = tokens.starts[first]
                column = start - (text.rfind("\n", 0, start) + 1)
                end = tokens.starts[number]
                yield _Line(level, column, start, end, tokens.ends[number], tokens, first, number)
                first = number + 1


def _comments(gap: list[str], columns: list[int], line: _Line | None) -> list[str]:
    """Comment and blank lines between two lines. A comment goes with the block that its column fits."""
    found = []
    for comment in gap:
        bare = comment.strip()
        if not bare:
            found.append("")
            continue
        column = len(comment) - len(comment.lstrip())
        level = sum(1 for opened in columns[1:] if opened <= column)
        if line is not None and (column <= line.column or line.level >= len(columns)):
            level = line.level
        found.append(" " * (_INDENT * level) + bare)
    return found


def _line_text(text: str, line: _Line) -> str:
    tokens, first = line.tokens, line.first
    indent = " " * (_INDENT * line.level)
    words = []
    while tokens.kinds[first] == "KEY":
        words.append(tokens.word(first))
        first += 1
    head = " ".join(words)
    if words:
        head += ":"
        first += 1
    if first < line.last:
        start, end = tokens.starts[first], tokens.ends[line.last - 1]
        values = _moved(text, start, end, _INDENT * line.level - line.column, tokens)
        head = f"{head} {values}" if head else values
    comment = text[line.end : line.after].strip()
    return indent + head + (f"  {comment}" if comment else "")


def _moved(text: str, start: int, end: int, distance: int, tokens: Tokens) -> str:
    """`text[start:end]` with the lines after its first moved right by `distance`, the texts in it kept."""
    strings = [
        (a, b)
        for kind, a, b in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True)
        if kind == "STRING" and start <= a and b <= end and "\n" in text[a:b]
    ]
    lines, at = [], start
    for line in text[start:end].split("\n"):
        inside = next(((a, b) for a, b in strings if a < at < b), None)
        if at == start:
            lines.append(line)
        elif inside is None:
            bare = line.lstrip(" ")
            lines.append(" " * max(0, len(line) - len(bare) + distance) + bare if bare.strip() else "")
        else:
            lines.append(_moved_inside(line, text[slice(*inside)], distance))
        at += len(line) + 1
    return "\n".join(lines)


def _moved_inside(line: str, string: str, distance: int) -> str:
    """A line inside a text: moved only if all its lines can be, as dedenting then takes it back."""
    if not _TRIPLE.match(string):
        return line
    below = [other for other in string.split("\n")[1:] if other.strip()]
    room = min((len(other) - len(other.lstrip(" ")) for other in below), default=0)
    if room + distance < 0 or not line.strip():
        return line if line.strip() else ""
    return " " * distance + line if distance > 0 else line[-distance:]


def _spaced(lines: list[str]) -> list[str]:
    """At most one blank line in a row, and one before each top-level block with the comments above it.

    Items that hold several lines (a long text) are one item: nothing in them is a blank line of the layout.
    """
    spaced: list[str] = []
    for number, line in enumerate(lines):
        if not line:
            if spaced and spaced[-1]:
                spaced.append("")
            continue
        if spaced and spaced[-1] and _begins_part(lines, number):
            spaced.append("")
        spaced.append(line)
    return spaced


def _begins_part(lines: list[str], number: int) -> bool:
    """Whether a top-level block, or a run of comments right above one, begins here."""
    line = lines[number]
    if line[0] in " \t":
        return False
    before = lines[number - 1] if number else ""
    if line.startswith("#"):
        return before.startswith(" ")
    return not before.startswith("#")


def _meaning(file: File) -> Any:
    return [file.docstring and file.docstring.value, [_block_meaning(block) for block in file.blocks]]


def _block_meaning(block: Block) -> Any:
    docstring = block.docstring and block.docstring.value
    inner = [_block_meaning(child) for child in block.blocks]
    return [block.keyword, block.name, docstring, [to_json(value) for value in block.values], inner]
