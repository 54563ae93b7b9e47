"""A terminal for tests: what a person would see after some output. Knows the codes that dreammake and rich write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dreammake.display.cells import clusters

_CODE = re.compile(r"\x1b\[(\?)?(\d*)(?:;\d+)*([A-Za-z])")


@dataclass
class Row:
    signs: list[str] = field(default_factory=list)
    """One entry a cell; a wide sign is followed by an empty entry."""
    wrapped: bool = False
    """The next row goes on with this one."""

    @property
    def text(self) -> str:
        return "".join(self.signs).rstrip()


class Terminal:
    """A screen of `columns` by `rows` with all that scrolled off above it; reflows when it is resized."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines = [Row()]
        self.x = self.y = 0
        self.cursor_shown = True
        self.writes = 0

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        pass

    def size(self) -> tuple[int, int]:
        return self.columns, self.rows

    def write(self, text: str) -> None:
        self.writes += 1
        at = 0
        while at < len(text):
            code = _CODE.match(text, at)
            if code:
                self._code(code)
                at = code.end()
                continue
            stop = text.find("\x1b", at)
            stop = len(text) if stop < 0 else stop
            for part in re.split(r"([\r\n])", text[at:stop]):
                self._print(part)
            at = stop

    @property
    def seen(self) -> list[str]:
        """All lines, those scrolled off too, without empty ones at the end."""
        lines = [row.text for row in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def screen(self) -> list[str]:
        return [row.text for row in self.lines[-self.rows :]]

    def resize(self, columns: int, rows: int) -> None:
        """As terminals that reflow do it: wrapped rows are joined, and wrapped again."""
        logical: list[list[str]] = [[]]
        cursor = (0, 0)
        for number, row in enumerate(self.lines):
            if number == self.y:
                cursor = len(logical) - 1, len(logical[-1]) + self.x
            logical[-1] += row.signs
            if not row.wrapped:
                logical.append([])
        logical.pop()
        self.columns, self.rows, self.lines = columns, rows, []
        for number, signs in enumerate(logical):
            chunks = [signs[at : at + columns] for at in range(0, max(1, len(signs)), columns)]
            if number == cursor[0]:
                row = min(cursor[1] // columns, len(chunks) - 1)
                self.y, self.x = len(self.lines) + row, cursor[1] - row * columns
            self.lines += [Row(chunk, at < len(chunks) - 1) for at, chunk in enumerate(chunks)]

    def _print(self, part: str) -> None:
        if part == "\r":
            self.x = 0
        elif part == "\n":
            self.lines[self.y].wrapped = False
            self._down()
            self.x = 0
        else:
            for sign, wide in clusters(part):
                if self.x + wide > self.columns:
                    self.lines[self.y].wrapped = True
                    self._down()
                    self.x = 0
                signs = self.lines[self.y].signs
                signs += [" "] * (self.x + wide - len(signs))
                signs[self.x : self.x + wide] = [sign, ""][:wide]
                self.x += wide

    def _down(self) -> None:
        self.y += 1
        if self.y == len(self.lines):
            self.lines.append(Row())

    def _code(self, code: re.Match[str]) -> None:
        private, number, letter = code.groups()
        if private:
            if number == "25":
                self.cursor_shown = letter == "h"
        elif letter == "A":
            top = max(0, len(self.lines) - self.rows)
            self.y = max(top, self.y - int(number or 1))
        elif letter == "K":
            del self.lines[self.y].signs[0 if number == "2" else self.x :]
            self.lines[self.y].wrapped = False
        elif letter == "J":
            del self.lines[self.y].signs[self.x :]
            self.lines[self.y].wrapped = False
            del self.lines[self.y + 1 :]
        elif letter != "m":
            raise AssertionError(f"an unknown code: {code.group()!r}")
