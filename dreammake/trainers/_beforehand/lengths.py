"""How long the first examples are in tokens, by the base's tokenizer, without opening the base."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows
from dreammake.trainers._examples import Row, renderer, value_renderer

LOOKED_AT, COUNTED = 1000, 400_000
"""Rows, and bytes of those that may be too long: more would take longer than it is worth."""
_ASKED = ("system", "prompt", "messages")
_ANSWERS = ("completion", "chosen", "rejected", "text")


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of the first `looked` rows, which may be `all` of them, `over` have more than `limit` tokens; the longest has
    `longest`."""

    looked: int
    all: bool
    over: int
    limit: int
    longest: int

    def __str__(self) -> str:
        rows = f"{self.over:,} of {'' if self.all else 'the first '}{self.looked:,} rows"
        return f"{rows} are longer than `max_length`, {self.limit:,} tokens: the longest has about {self.longest:,}"


def lengths_of(rows: Rows, options: OptionSet, tokenizer: Path) -> Lengths | None:
    """None where the method has no limit, or where a row cannot be read: then the training says so."""
    limit = options.values.get("max_length")
    if not limit or options.values.get("packing"):
        return None
    with suppress(Exception):
        looked, size = 0, 0
        long: list[tuple[str, ...]] = []
        for texts in islice(_texts(rows, options), LOOKED_AT):
            looked += 1
            # No text has more tokens than bytes: most rows need no tokenizer, and then it is not even read.
            if (bytes_ := sum(len(text.encode("utf-8", "replace")) for text in texts)) > limit:
                long.append(texts)
                size += bytes_
                if size > COUNTED:
                    break
        counts = _counts(long, tokenizer) if long else []
        over = sum(count > limit for count in counts)
        return Lengths(looked, looked == rows.count, over, limit, max(counts, default=0))
    return None


def _texts(rows: Rows, options: OptionSet) -> Iterator[tuple[str, ...]]:
    """Of each row, what is asked, and then the answers, of which the longest counts."""
    asked, answers = (
        [_text_of(options.values[name], rows.columns) for name in names if options.values.get(name) is not None]
        for names in (_ASKED, _ANSWERS)
    )
    for row in rows.dicts():
        yield "\n".join(render(row) for render in asked), *(render(row) for render in answers)


def _text_of(value: Any, columns: Sequence[str]) -> Callable[[Row], str]:
    if isinstance(value, list | tuple) or not hasattr(value, "source"):
        render = renderer(value, columns)
    else:
        render = value_renderer(value, columns)
    return lambda row: _flat(render(row))


def _flat(value: Any) -> str:
    """A text; of messages, what they say."""
    if isinstance(value, list | tuple):
        return "\n".join(_flat(message["content"]) for message in value)
    return str(value)


def _counts(texts: list[tuple[str, ...]], tokenizer: Path) -> list[int]:
    from tokenizers import Tokenizer

    reader = Tokenizer.from_file(str(tokenizer))
    reader.no_truncation()

    def count(part: str) -> int:
        return len(reader.encode(part, add_special_tokens=False).ids)

    return [count(asked) + max(map(count, answers), default=0) for asked, *answers in texts]
