"""The text of a card, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dreammake.hub.card import Card, Split
from dreammake.hub.card_document import utc
from dreammake.hub.markdown import cell, code, fenced, listed, table
from dreammake.hub.part_facts import PartFacts
from dreammake.hub.snippets import snippet
from dreammake.plan.chain import Link, StepTold

LISTED = 50
"""Targets of the chain that are listed one by one; of more, the last ones."""
LONGEST_OPTION = 4000
"""Characters of a prompt or another option; `dreammake.json` has all of it."""
LONGEST_VALUE = 500
"""Characters of a sample row's value."""


def card_text(card: Card) -> str:
    """Everything that dreammake writes into a README, but for the YAML and the title."""
    parts = [
        _about(card),
        _use(card),
        _made(card),
        _parts("Models", card, card.models()),
        _parts("Datasets and files", card, card.datasets()),
        _license(card),
        _training(card),
        _sample(card),
        _counts(card),
        _reproduce(card),
        _citations(card),
    ]
    return "\n\n".join(part for part in parts if part)


def _about(card: Card) -> str:
    lines = [card.doc] if card.doc else []
    writers = [facts.part.name for facts in card.models() if any(_asks(link) for link in card.users(facts.part))]
    if card.synthetic:
        by = listed(f"`{name}`" for name in writers) if writers else "a model"
        what = "It holds text" if card.model is None else "It learned from text"
        lines.append(f"> **Synthetic.** {what} that {by} wrote. Keep it apart from what people write.")
    if card.splits:
        lines.append("\n".join(map(_split, card.splits)))
    return "\n\n".join(lines)


def _split(split: Split) -> str:
    columns = ", ".join(f"`{name}` ({kind})" for name, kind in split.columns.items())
    return f"- **{split.name}**: {split.rows:,} rows of {columns}"


def _asks(link: Link) -> bool:
    return any(step.asked for step in link.steps)


def _use(card: Card) -> str:
    return f"## Use\n\n{fenced(snippet(card), 'python')}"


def _made(card: Card) -> str:
    links = card.chain.links[-LISTED:]
    rows = [
        (_targets(link), f"`{link.job.rule.name}`", _rows_of(link), _when(link), f"`{link.fingerprints[link.job.id]}`")
        for link in links
    ]
    left_out = len(card.chain.links) - len(links)
    more = f"\n\n{left_out:,} targets before these are in `dreammake.json`." if left_out else ""
    first_of_rule = {link.job.rule.name: link for link in reversed(card.chain.links)}
    told = [_rule(link) for link in reversed(first_of_rule.values())]
    return "\n\n".join(
        [
            "## How it was made",
            "By [dreammake](https://pypi.org/project/dreammake-llm/), a make for LLM workflows. The fingerprint of a"
            " target is that of its recipe and of all that it was made from: equal fingerprints, equal workflows.",
            fenced(card.chain.picture(), "mermaid"),
            table(("target", "rule", "rows", "built", "fingerprint"), rows) + more,
            *told,
        ]
    )


def _targets(link: Link) -> str:
    return ", ".join(f"`{put.path}`" for put in link.job.outputs)


def _rows_of(link: Link) -> str:
    rows = link.record.facts.get("rows") if link.record else None
    return f"{rows:,}" if rows is not None else ""


def _when(link: Link) -> str:
    return utc(link.record.built_at).replace("T", " ").replace("Z", " UTC") if link.record else "unknown"


def _rule(link: Link) -> str:
    parts = [f"### `{link.job.rule.name}`"]
    if link.job.rule.doc:
        parts.append(link.job.rule.doc)
    return "\n\n".join([*parts, *map(_step, link.steps)])


def _step(step: StepTold) -> str:
    said = [f"**{step.label}**"]
    long: list[tuple[str, Any]] = []
    for asked in step.asked:
        long += [(f"{name} of `{asked.model}`", value) for name, value in asked.sampling.items() if _is_long(value)]
        short = ", ".join(f"{name} {code(value)}" for name, value in asked.sampling.items() if not _is_long(value))
        said.append(f"asks `{asked.model}`" + (f" ({short})" if short else ""))
    said += [f"{name}: {code(value)}" for name, value in step.settings.items() if not _is_long(value)]
    parts = ["; ".join(said)]
    long = [*step.texts.items(), *long, *((name, value) for name, value in step.settings.items() if _is_long(value))]
    for name, text in long:
        body = text if isinstance(text, str) else json.dumps(text, indent=1, ensure_ascii=False)
        parts.append(f"{name}:\n\n{fenced(body if len(body) <= LONGEST_OPTION else body[:LONGEST_OPTION] + '…')}")
    return "\n\n".join(parts)


def _is_long(value: Any) -> bool:
    return len(value if isinstance(value, str) else json.dumps(value)) > 80 or "\n" in str(value)


def _parts(title: str, card: Card, all_facts: Iterable[PartFacts]) -> str:
    rows = [
        (
            f"[{cell(facts.part.name)}]({facts.card or facts.url})"
            if facts.card or facts.url
            else cell(facts.part.name),
            facts.part.revision or "",
            _license_of(facts),
            ", ".join(dict.fromkeys(f"`{link.job.rule.name}`" for link in card.users(facts.part))),
        )
        for facts in all_facts
    ]
    return f"## {title}\n\n{table(('name', 'revision', 'licence', 'used by'), rows)}" if rows else ""


def _license_of(facts: PartFacts) -> str:
    if facts.license is None:
        return "unknown"
    return f"[{facts.license.name}]({facts.license.url})" if facts.license.url else facts.license.name


def _license(card: Card) -> str:
    derived = card.derived
    if not card.facts:
        return "## Licence\n\nNothing of others is in it: its licence is for its author to say."
    whole = derived.metadata()
    lines = [f"Of the whole, derived from its parts: **{whole.get('license_name') or whole['license']}**."]
    if derived.unknown:
        lines.append(f"Unknown is the licence of {listed(f'`{name}`' for name in derived.unknown)}.")
    if derived.conflicts:
        lines.append("**The parts contradict each other:**\n\n" + "\n".join(f"- {one}" for one in derived.conflicts))
    if derived.restrictions:
        lines.append("Conditions of the parts:\n\n" + "\n".join(f"- {one}" for one in derived.restrictions))
    return "\n\n".join(["## Licence", *lines, "This was derived by a program, and is no legal advice."])


def _training(card: Card) -> str:
    if card.model is None or not card.model.training:
        return ""
    training = card.model.training
    facts = [(name, cell(code(value))) for name, value in training.items() if isinstance(value, str | int | float)]
    options = training.get("options")
    text = f"## Training\n\n{table(('fact', 'value'), facts)}"
    if isinstance(options, dict):
        body = fenced(json.dumps(_resolved(options), indent=1, ensure_ascii=False), "json")
        text += f"\n\n<details><summary>All options</summary>\n\n{body}\n\n</details>"
    return text


def _resolved(value: Any) -> Any:
    """Options as a reader wants them: templates as their text, `lora(...)` by its arguments, and nothing unset."""
    match value:
        case {"$template": text}:
            return text
        case {"$function": name, "kwargs": given}:
            return {name: _resolved(given)}
        case Mapping():
            return {name: _resolved(item) for name, item in value.items() if item is not None}
    return value


def _sample(card: Card) -> str:
    if not card.sample:
        return ""
    rows = [
        json.dumps({name: _short(value) for name, value in row.items()}, indent=1, ensure_ascii=False)
        for row in card.sample
    ]
    return f"## Sample rows\n\n{fenced(chr(10).join(rows), 'json')}"


def _short(value: Any) -> Any:
    match value:
        case str():
            return value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…"
        case bytes():
            return f"<{len(value):,} bytes>"
        case Mapping():
            return {name: _short(item) for name, item in value.items()}
        case list() | tuple():
            return [_short(item) for item in value]
        case None | bool() | int() | float():
            return value
    return str(value)


def _counts(card: Card) -> str:
    words = {
        "prompts_asked": "prompts that were asked",
        "prompts_cached": "prompts that were answered from the cache",
        "prompt_tokens": "tokens of prompts",
        "completion_tokens": "tokens of answers",
        "cost": "cost in dollars",
        "failed_rows": "rows without a result",
        "cut_answers": "answers that were cut by `max_tokens`",
    }
    totals = card.totals()
    rows = [(words[name], f"{value:,.6g}" if name == "cost" else f"{value:,.0f}") for name, value in totals.items()]
    note = "\n\nOf the last build of each target." if rows else ""
    return f"## Counts\n\n{table(('what', 'how many'), rows)}{note}" if rows else ""


def _reproduce(card: Card) -> str:
    last = card.chain.last
    facts = [(f"fingerprint of `{path}`", f"`{value}`") for path, value in last.fingerprints.items()]
    facts += [(f"content of `{path}`", f"`{value}`") for path, value in last.content.items()]
    origin = card.origin
    if origin.commit:
        changed = ", with changes that are not committed" if origin.changed else ""
        facts.append((f"git commit of `{origin.dreamfile}`", f"`{origin.commit}`{changed}"))
    for name, value in card.built_with.items():
        text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else value
        facts.append((name, cell(", ".join(text) if isinstance(text, list) else str(text))))
    return f"## Reproduce\n\n{table(('what', 'value'), facts)}\n\nAll of this, for programs: `dreammake.json`."


def _citations(card: Card) -> str:
    entries = dict.fromkeys(entry for facts in card.facts for entry in facts.citations)
    return f"## Citations\n\n{fenced((chr(10) * 2).join(entries), 'bibtex')}" if entries else ""
