"""A row and all that is behind it, for a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from dreammake.core.traced import Trace, TracedPrompt, TracedRow, TracedStep
from dreammake.core.values import in_words
from dreammake.display.amounts import count, dollars, tokens
from dreammake.display.cells import cells, one_line, visible, wrap
from dreammake.display.style import Style

TALLEST = 12
"""Lines of a value that are shown; of a longer one the first."""
_HOW = {"matched": "found by equal values", "placed": "found by its place", "lost": "goes no further"}


def draw_trace(trace: Trace, style: Style, width: int) -> str:
    """The row itself first, then those that it came from, each with its steps and prompts."""
    lines: list[str] = []
    for row in trace.rows:
        lines += [""] if lines else []
        lines += _row(row, style, width)
    prompts = sum(len(step.prompts) for row in trace.rows for step in row.steps)
    if prompts:
        cost = f", {dollars(trace.cost)}" if trace.cost else ""
        lines += ["", f"{count(prompts, 'prompt')}{cost}"]
    return "\n".join(lines)


def _row(row: TracedRow, style: Style, width: int) -> Iterator[str]:
    made = f"   {row.rule}, {row.place}" if row.rule else ""
    yield style.paint(f"{visible(row.path)} row {row.row:,}", "bold") + style.paint(made, "dim")
    values = row.values or {}
    room = min(max((cells(visible(name)) for name in values), default=0), 24)
    for name, value in values.items():
        yield from _value(visible(name), value, 2, room, style, width)
    before = row.origins[0][1] if row.origins else None
    for step in row.steps:
        yield from _step(step, before, style, width)
        before = step.row
    if row.how in _HOW:
        note = f": {one_line(row.note)}" if row.note else ""
        yield "  " + style.paint(f"{_HOW[row.how]}{note}", "yellow")
    for path, number in row.origins:
        yield "  " + style.paint("<-", "cyan") + f" {visible(path)} row {number:,}"


def _step(step: TracedStep, before: int | None, style: Style, width: int) -> Iterator[str]:
    moved = step.row is not None and step.row != before
    behind = style.paint(f"   -> row {step.row:,}", "dim") if moved else ""
    yield f"  {style.paint(visible(step.label), 'cyan')}{behind}"
    for prompt in step.prompts:
        yield from _prompt(prompt, style, width)
        if prompt.answer is None and not step.failed:
            yield "      " + style.paint("its answer is in the cache no more", "yellow")
    if step.failed:
        yield "    " + style.paint(f"failed: {one_line(step.failed)}", "red")


def _prompt(prompt: TracedPrompt, style: Style, width: int) -> Iterator[str]:
    given = [f"{name} {value}" for name, value in prompt.sampling.items()]
    about = [f"{prompt.model} ({prompt.engine})", *given, *([f"seed {prompt.seed}"] if prompt.seed is not None else [])]
    about += [f"attempt {prompt.attempt}"] if prompt.attempt > 1 else []
    yield "    " + one_line(", ".join(about))
    roles = [*(str(message.get("role", "")) for message in prompt.messages), "answer"]
    room = max(map(len, roles))
    for message in prompt.messages:
        yield from _value(str(message.get("role", "")), message.get("content"), 6, room, style, width)
    if prompt.answer is None:
        return
    yield from _value("answer", prompt.answer, 6, room, style, width)
    used = (prompt.prompt_tokens or 0) + (prompt.completion_tokens or 0)
    spent = [*([tokens(used)] if used else []), *([dollars(prompt.cost, exact=True)] if prompt.cost else [])]
    if spent:
        yield " " * (8 + room) + style.paint(", ".join(spent), "dim")


def _value(name: str, value: Any, indent: int, room: int, style: Style, width: int) -> Iterator[str]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=in_words)
    lines = wrap(text, max(20, width - indent - room - 2))
    if len(lines) > TALLEST:
        lines = [*lines[: TALLEST - 1], "…"]
    yield " " * indent + style.paint(name, "dim") + " " * max(0, room - cells(name)) + "  " + lines[0]
    for line in lines[1:]:
        yield " " * (indent + room + 2) + line


def trace_document(trace: Trace) -> dict[str, Any]:
    """The same for programs."""
    return {"rows": [_row_json(row) for row in trace.rows], "cost": trace.cost}


def _row_json(row: TracedRow) -> Mapping[str, Any]:
    found = asdict(row)
    found["origins"] = [{"path": path, "row": number} for path, number in row.origins]
    return found
