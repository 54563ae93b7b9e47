"""Gathers the blocks of a Dreamfile and of what it includes, in the order of the text."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field

from dreammake.core.diagnostic import DreamError, Errors, Note
from dreammake.core.span import Source, Span
from dreammake.lang.parser import parse_file
from dreammake.lang.syntax import Block, Text

ReadText = Callable[[str], str]
"""Reads a text by its path in the project. Raises DreamError (without a place) where it cannot."""


@dataclass(slots=True)
class Gathered:
    doc: str = ""
    sources: list[Source] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


def gather(path: str, read_text: ReadText, errors: Errors) -> Gathered:
    """All blocks, includes spliced in where they stand. A file that includes itself is an error."""
    gathered = Gathered()
    _gather(path, None, (), read_text, errors, gathered)
    return gathered


def _gather(
    path: str,
    span: Span | None,
    outer: tuple[str, ...],
    read_text: ReadText,
    errors: Errors,
    gathered: Gathered,
) -> None:
    if path in outer:
        chain = " -> ".join((*outer[outer.index(path) :], path))
        errors.add("include-cycle", f"{path} includes itself: {chain}", span, hint="take one of the includes away")
        return
    if len(outer) > 50:
        errors.add("include-cycle", "includes are nested more than 50 deep", span)
        return
    try:
        source = Source(path, read_text(path))
        file = parse_file(source)
    except DreamError as error:
        for found in error.diagnostics:
            errors.add(
                found.code, found.message, found.span or span, label=found.label, hint=found.hint, notes=found.notes
            )
        return
    gathered.sources.append(source)
    if not outer and file.docstring is not None:
        gathered.doc = file.docstring.value
    for block in file.blocks:
        if block.keyword != "include":
            gathered.blocks.append(block)
            continue
        if not block.values or not all(isinstance(value, Text) for value in block.values) or block.blocks:
            hint = 'write `include: "other.dream"`'
            errors.add("bad-include", "`include` takes the path of a file, as a plain text", block.span, hint=hint)
            continue
        for value in block.values:
            assert isinstance(value, Text)
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(path), value.value))
            _gather(inner, value.span, (*outer, path), read_text, errors, gathered)


def once(blocks: list[Block], keyword: str, errors: Errors) -> None:
    """Report blocks of one name that stand twice."""
    seen: dict[str, Block] = {}
    for block in blocks:
        if block.name is None:
            errors.add("missing-name", f"a `{keyword}` needs a name", block.span, hint=f"write `{keyword} NAME:`")
        elif block.name in seen:
            first = Note("it stands here, too", seen[block.name].name_span)
            message = f"there are two {keyword}s named `{block.name}`"
            errors.add("duplicate-name", message, block.name_span, hint="rename one of them", notes=[first])
        else:
            seen[block.name] = block
