"""Draws a diagnostic: what is wrong, its line in the Dreamfile, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dreammake.core.diagnostic import Diagnostic
from dreammake.core.span import Span
from dreammake.display.amounts import count
from dreammake.display.cells import TAB, cells, clusters, one_line, visible, wrap
from dreammake.display.style import Style

_CONTEXT = 8
"""Cells kept before a span when a long line is cut."""


def draw_all(diagnostics: Sequence[Diagnostic], *, colour: bool, width: int) -> str:
    """All diagnostics, a blank line between them, and how many there are if there are several."""
    texts = [draw(diagnostic, colour=colour, width=width) for diagnostic in diagnostics]
    if len(diagnostics) > 1:
        kinds = [diagnostic.severity for diagnostic in diagnostics]
        texts.append(", ".join(count(kinds.count(kind), kind) for kind in ("error", "warning") if kind in kinds))
    return "\n\n".join(texts)


def draw(diagnostic: Diagnostic, *, colour: bool, width: int) -> str:
    """One diagnostic as lines without a line end after the last; `width` is the terminal's, in cells."""
    style = Style(colour)
    look = "red" if diagnostic.severity == "error" else "yellow"
    spans = [diagnostic.span, *(note.span for note in diagnostic.notes)]
    gutter = max((len(str(span.line)) for span in spans if span), default=1)
    head = style.paint(f"{diagnostic.severity}[{diagnostic.code}]", "bold", look)
    lines = [head + style.paint(f": {one_line(diagnostic.message)}", "bold")]
    if diagnostic.span:
        lines += _excerpt(diagnostic.span, diagnostic.label, _Frame(style, gutter, width, look))
    for note in diagnostic.notes:
        said = visible(note.message.expandtabs(TAB)).split("\n")
        lines.append(f"{style.paint('note', 'bold', 'blue')}: {said[0]}")
        lines += [f"  {line}" for line in said[1:]]
        if note.span:
            lines += _excerpt(note.span, "", _Frame(style, gutter, width, "blue"))
    if diagnostic.hint:
        if diagnostic.span or any(note.span for note in diagnostic.notes):
            lines.append(style.paint(" " * (gutter + 1) + "|", "blue"))
        lines.append(f"{style.paint('help', 'bold', 'cyan')}: {visible(diagnostic.hint.expandtabs(TAB))}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Frame:
    style: Style
    gutter: int
    """Digits of the largest line number."""
    width: int
    look: str

    def line(self, number: str, text: str) -> str:
        bar = self.style.paint(f"{number:>{self.gutter}} |", "blue")
        return f"{bar} {text}" if text else bar

    @property
    def room(self) -> int:
        """Cells for the source line, behind the gutter."""
        return max(20, self.width - self.gutter - 3)


def _excerpt(span: Span, label: str, frame: _Frame) -> list[str]:
    line, column = span.source.place(span.start)
    end_line, end_column = span.source.place(max(span.start, span.end))
    source = span.source.line(line).removesuffix("\r")
    many = end_line > line and span.source.text[span.start : span.end].rstrip() not in source
    text, start, end = _window(source, column - 1, len(source) if end_line > line else end_column - 1, frame.room)
    mark = "^" * max(1, end - start) + ("…" if many else "")
    arrow = frame.style.paint(" " * frame.gutter + "-->", "blue")
    return [
        f"{arrow} {span.path}:{line}:{column}",
        frame.line("", ""),
        frame.line(str(line), text.rstrip()),
        *(frame.line("", under) for under in _underline(mark, start, one_line(label), frame)),
    ]


def _underline(mark: str, start: int, label: str, frame: _Frame) -> list[str]:
    """The marks with the label behind them, or below them where it does not fit."""
    paint = frame.style.paint
    beside = f" {label}" if label else ""
    if cells(mark + beside) + start <= frame.room:
        return [" " * start + paint(mark + beside, frame.look)]
    indent = start if cells(label) + start <= frame.room else 0
    below = wrap(label, frame.room - indent)
    return [" " * start + paint(mark, frame.look), *(" " * indent + paint(text, frame.look) for text in below)]


def _window(source: str, start: int, end: int, room: int) -> tuple[str, int, int]:
    """The line as it is printed, cut around the span if it is longer than `room` cells, and the cells where the
    span (characters `start` to `end`) begins and ends in it."""
    signs, at, character = [], 0, 0
    first = last = None
    for sign, wide in clusters(source):
        if sign[0] == "\t":
            wide = TAB - at % TAB
            shown = " " * wide
        else:
            shown = visible(sign)
            wide = wide if shown == sign else cells(shown)
        if character <= start < character + len(sign):
            first = at
        if character < end <= character + len(sign):
            last = at + wide
        signs.append((shown, at, wide))
        at += wide
        character += len(sign)
    first = at if first is None else first
    last = max(first, at if last is None and end > 0 else last or 0)
    if at <= room:
        return "".join(shown for shown, _, _ in signs), first, last
    return _cut(signs, first, last, at, room)


def _cut(signs: list[tuple[str, int, int]], first: int, last: int, length: int, room: int) -> tuple[str, int, int]:
    """The part of a line around the cells `first` to `last`, `…` where something is left out."""
    left = max(0, min(first - _CONTEXT, length - room)) if last > room - 1 else 0
    left = min(left, first)
    before = "…" if left else ""
    right = left + room - len(before) - 1
    after = "…" if right < length else ""
    kept = [(shown, at, wide) for shown, at, wide in signs if at >= left and at + wide <= right + (not after)]
    shift = (kept[0][1] if kept else left) - len(before)
    text = before + "".join(shown for shown, _, _ in kept) + after
    stop = cells(text)
    return text, max(0, min(first - shift, stop)), max(0, min(last - shift, stop))
