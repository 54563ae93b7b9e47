"""How wide text is on a terminal, and text made safe to print there."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_JOINER = "\u200d"
_EMOJI_FORM = "\ufe0f"
TAB = 4


def visible(text: str) -> str:
    """The text with what could steer a terminal made visible: ESC as `␛`, direction marks as `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or character.isprintable():
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if character in (_JOINER, _EMOJI_FORM, "\u200c", "\u00a0", "\u3000") or unicodedata.category(character) == "Zs":
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """Like `visible`, and on one line: `↵` for a line end."""
    return visible(text).replace("\n", "↵").replace("\t", " ")


def clusters(text: str) -> Iterator[tuple[str, int]]:
    """What a terminal shows as one sign, and how many cells it takes: combining marks and joined emoji go
    with the character before them."""
    sign, cells = "", 0
    for character in text:
        width = _cells_of(character)
        flag = len(sign) == 1 and _is_flag(sign) and _is_flag(character)
        if sign and (width == 0 or sign.endswith(_JOINER) or flag or _is_skin_tone(character)):
            sign += character
            cells = 2 if character == _EMOJI_FORM or flag else cells
            continue
        if sign:
            yield sign, cells
        sign, cells = character, width
    if sign:
        yield sign, cells


def cells(text: str) -> int:
    """How many terminal cells a line of text takes."""
    if text.isascii():
        return len(text)
    return sum(width for _, width in clusters(text))


def cut(text: str, width: int) -> str:
    """The text if it fits `width` cells, else its start and `…`."""
    if cells(text) <= width:
        return text
    kept, used = [], 1
    for sign, wide in clusters(text):
        if used + wide > width:
            break
        kept.append(sign)
        used += wide
    return "".join(kept) + "…" if width > 0 else ""


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text with spaces after it (or before it, with `right`) up to `width` cells."""
    space = " " * (width - cells(text))
    return space + text if right else text + space


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells: broken at spaces where there are any, inside a word that is longer."""
    return [part for line in text.split("\n") for part in _wrap_line(line.expandtabs(TAB), max(2, width))]


def _wrap_line(line: str, width: int) -> list[str]:
    if cells(line) <= width:
        return [line]
    lines: list[str] = []
    signs: list[str] = []
    used, space = 0, -1
    for sign, wide in clusters(line):
        if used + wide > width:
            if sign == " ":
                lines.append("".join(signs))
                signs, used, space = [], 0, -1
                continue
            head, tail = (signs[:space], signs[space + 1 :]) if space > 0 else (signs, [])
            lines.append("".join(head))
            signs, space = tail, -1
            used = cells("".join(signs))
        if sign == " ":
            space = len(signs)
        signs.append(sign)
        used += wide
    return [*lines, "".join(signs)]


def _cells_of(character: str) -> int:
    if character.isascii():
        return 1
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_skin_tone(character: str) -> bool:
    return "\U0001f3fb" <= character <= "\U0001f3ff"
