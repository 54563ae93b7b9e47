"""The words for what happens in a build: the plain and the live display say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.core.events import BuildFinished, BuildStarted, JobFailed
from dreammake.display.amounts import count, dollars, duration, rate, short, size, tokens
from dreammake.display.cells import one_line
from dreammake.display.excerpt import draw
from dreammake.display.style import Style


def beginning(event: BuildStarted) -> str:
    """`4 to build, 2 may follow, 41 up to date`."""
    parts = [f"{event.build:,} to build"]
    parts += [f"{event.follow:,} may follow"] if event.follow else []
    parts += [f"{event.fresh:,} up to date"] if event.fresh else []
    return ", ".join(parts)


def ending(event: BuildFinished) -> str:
    """`4 built, 2 failed, 3 not run, 41 up to date in 12.3 s, $0.42`, or `all is up to date (41 targets)`."""
    if not (event.built or event.failed or event.skipped or event.interrupted):
        return f"all is up to date ({count(event.fresh, 'target')})"
    amounts = (
        (event.built, "built"),
        (event.failed, "failed"),
        (event.skipped, "not run"),
        (event.fresh, "up to date"),
    )
    tally = ", ".join(f"{amount:,} {word}" for amount, word in amounts if amount or word == "built")
    cost = f", {dollars(event.cost)}" if event.cost else ""
    line = f"{'interrupted: ' if event.interrupted else ''}{tally} in {duration(event.seconds)}{cost}"
    return f"{line}\n{rest(event.left)}" if event.left else line


def rest(left: Mapping[str, Any]) -> str:
    """What a budget did not reach for: `left to do: 812 prompts, about 120k tokens, $1.20`."""
    most = "" if left["exact"] else "at most "
    parts = [most + count(left["prompts"], "prompt"), f"about {tokens(left['tokens'])}"]
    return "left to do: " + ", ".join([*parts, *([dollars(left["cost"])] if left["cost"] else [])])


def unchanged(found: Mapping[str, Any]) -> str:
    """What a job that made the same again did: `same content as before, 3 prompts asked, 2 rows failed`."""
    parts = {name: found.get(name) for name in ("prompts_asked", "failed_rows", "cost")}
    return ", ".join(["same content as before", *filter(None, [facts(parts)])])


def facts(found: Mapping[str, Any]) -> str:
    """What a job made: `1,000 rows, 12 prompts asked, 988 cached, 310k tokens, $0.42, loss 0.7`."""
    rows, asked, cached = (found.get(name) for name in ("rows", "prompts_asked", "prompts_cached"))
    parts = [count(rows, "row")] if isinstance(rows, int) else []
    parts += ["from the shared cache"] if found.get("shared") else []
    if asked or cached:
        parts.append(prompts(asked or 0, cached or 0))
    if found.get("failed_rows"):
        parts.append(f"{count(found['failed_rows'], 'row')} failed")
    if found.get("cut_answers"):
        parts.append(f"{count(found['cut_answers'], 'answer')} cut off")
    if used := found.get("tokens") or (found.get("prompt_tokens") or 0) + (found.get("completion_tokens") or 0):
        parts.append(tokens(used))
    if found.get("cost"):
        parts.append(dollars(found["cost"]))
    if found.get("steps"):
        parts.append(count(found["steps"], "training step"))
    if found.get("bytes"):
        parts.append(size(found["bytes"]))
    return ", ".join([*parts, *measures(found)])


def prompts(asked: int, cached: int) -> str:
    """`12 prompts asked, 988 cached`, `12 prompts asked`, `1,000 prompts cached`."""
    if not asked:
        return f"{count(cached, 'prompt')} cached"
    return f"{count(asked, 'prompt')} asked" + (f", {cached:,} cached" if cached else "")


def measures(found: Mapping[str, Any]) -> list[str]:
    """Figures of a training: `loss 1.93`, `accuracy 0.81`, `1.2k tokens/s`."""
    shown = [name for name in found if name == "loss" or name.endswith(("_loss", "accuracy", "reward"))]
    words = [
        f"{name.replace('_', ' ')} {figure(found[name])}" for name in shown if isinstance(found[name], float | int)
    ]
    speed = found.get("tokens_per_second")
    return [*words, rate(speed, "tokens")] if speed else words


def figure(number: float) -> str:
    """Three digits: `1.93`, `0.0214`, `12.3`, `4.2k`."""
    if number != number or abs(number) in (float("inf"), 0.0):
        return f"{number:g}"
    return short(number) if abs(number) >= 1000 else f"{number:.3g}"


def failure(event: JobFailed, style: Style, width: int) -> str:
    """The lines of a failed job: its diagnostics, and where its log is."""
    drawn = [draw(diagnostic, colour=style.colour, width=width) for diagnostic in event.diagnostics]
    log = [f"log: {one_line(event.log)}"] if event.log else []
    return "\n".join([*drawn, *log])


def retry(event: JobFailed) -> str:
    """Why a job is tried again, on one line."""
    reasons = "; ".join(diagnostic.message for diagnostic in event.diagnostics)
    return one_line(reasons) or "it failed"
