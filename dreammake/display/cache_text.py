"""The prompt caches in words, and as JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from dreammake.core.cache_file import Amount, CacheFile
from dreammake.display.amounts import count, dollars, size, tokens
from dreammake.display.cells import one_line, pad


def draw_caches(files: Sequence[CacheFile]) -> str:
    """A line a model: answers, size, tokens, cost, last used; and the sum."""
    if not files:
        return "no answers are kept here yet"
    rows = [_cells(file) for file in files]
    if len(files) > 1:
        rows.append(_sum(files))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [pad(cell, width, right=0 < at < 5) for at, (cell, width) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()


def _cells(file: CacheFile) -> list[str]:
    name = one_line(file.name) + (f" ({file.engine})" if file.engine not in ("", "api") else "")
    when = time.strftime("used %Y-%m-%d %H:%M", time.localtime(file.used)) if file.used else ""
    if file.damaged:
        return [name, "damaged", size(file.size), "", "", f"{when.replace('used', 'since')}; `cache gc` removes it"]
    return [name, count(file.answers, "answer"), size(file.size), tokens(file.tokens), _paid(file.cost), when]


def _sum(files: Sequence[CacheFile]) -> list[str]:
    answers, bytes_, used = (sum(getattr(file, name) for file in files) for name in ("answers", "size", "tokens"))
    return ["together", count(answers, "answer"), size(bytes_), tokens(used), _paid(sum(f.cost for f in files)), ""]


def _paid(cost: float) -> str:
    return dollars(cost) if cost else ""


def draw_garbage(found: Sequence[tuple[CacheFile, Amount]], *, dry_run: bool) -> str:
    """What no target can reach, a line a model, and what it cost."""
    if not found:
        return "every answer is one that a target can reach"
    word = "would drop" if dry_run else "dropped"
    lines = [f"{word} {_of(amount, file)} of {one_line(file.name)}" for file, amount in found]
    freed, cost = sum(amount.size for _, amount in found), sum(amount.cost for _, amount in found)
    lines.append(
        f"{'would free' if dry_run else 'freed'} {size(freed)}" + (f" that cost {dollars(cost)}" if cost else "")
    )
    return "\n".join(lines)


def _of(amount: Amount, file: CacheFile) -> str:
    if file.damaged:
        return f"the damaged file ({size(amount.size)})"
    paid = f", {dollars(amount.cost)}" if amount.cost else ""
    return f"{count(amount.answers, 'answer')} ({size(amount.size)}{paid})"


def draw_cleared(files: Sequence[CacheFile], *, word: str) -> str:
    """`dropped 1,000 answers of openai/gpt-4o (1.2 MB), that cost $0.42`."""
    if not files:
        return "no answers are kept here"
    answers, freed, cost = (sum(getattr(file, name) for file in files) for name in ("answers", "size", "cost"))
    models = ", ".join(dict.fromkeys(one_line(file.name) for file in files))
    return f"{word} {count(answers, 'answer')} of {models} ({size(freed)})" + (
        f", that cost {dollars(cost)}" if cost else ""
    )


def file_json(file: CacheFile) -> dict[str, Any]:
    """One cache for programs; `used` in Unix time, null where nobody knows."""
    return {
        "file": file.path.name,
        "model": file.model or None,
        "engine": file.engine or None,
        "answers": file.answers,
        "size": file.size,
        "tokens": file.tokens,
        "cost": file.cost,
        "used": file.used or None,
        "damaged": file.damaged,
    }
