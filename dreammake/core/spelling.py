"""The nearest known name to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name closest to `word` by edit distance (with transpositions), or None if none is close.

    The tolerance grows with the length of the word: 1 for up to 4 letters, then a third of them.
    """
    limit = max(1, (len(word) + 1) // 3)
    best: str | None = None
    for name in sorted(known):
        if abs(len(name) - len(word)) > limit or name == word:
            continue
        distance = _distance(word.lower(), name.lower(), limit)
        if distance <= limit:
            best, limit = name, distance - 1
            if limit < 0:
                break
    return best


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: "did you mean `x`?", or the list of what is known, or nothing."""
    names = sorted(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean `{near}`?"
    if 0 < len(names) <= 12:
        return "known here: " + ", ".join(names)
    return ""


def _distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance, or `limit + 1` as soon as it must be larger."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row, last = row, [i], before
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
