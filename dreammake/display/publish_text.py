"""What is published, in words."""

from __future__ import annotations

from collections.abc import Sequence

from dreammake.display.amounts import count, size

_MARKS = {"new": "+", "changed": "~", "same": " ", "gone": "-"}


def draw_listing(source: str, url: str, listing: Sequence[tuple[str, str, int]]) -> str:
    """Where it goes, every file with its size and `+` new, `~` changed, `-` gone, and how much is to be sent.

    A line of the listing is (what happens to the file, its name, its size in bytes).
    """
    lines = [f"{source} -> {url}"]
    lines += [
        f"  {_MARKS[action]} {'' if action == 'gone' else size(number):>7}  {name}" for action, name, number in listing
    ]
    sent = [number for action, _, number in listing if action in ("new", "changed")]
    same = sum(action == "same" for action, _, _ in listing)
    unchanged = f", {same:,} unchanged" if same else ""
    lines.append(f"{count(len(sent), 'file')} to send, {size(sum(sent))}{unchanged}")
    return "\n".join(lines)


def draw_conflicts(unknown: Sequence[str], conflicts: Sequence[str]) -> str:
    """What the author should know of the licence: nothing, or lines."""
    lines = [f"licences contradict each other: {conflict}" for conflict in conflicts]
    if unknown:
        lines.append(f"licence unknown: {', '.join(unknown)}; `licenses.toml` can say it")
    return "".join(f"{line}\n" for line in lines)
