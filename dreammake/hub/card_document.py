"""`dreammake.json` beside what was published: the card for programs, and what the next publishing compares with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dreammake.core.values import NOTHING
from dreammake.hub.card import MARKS, Card
from dreammake.hub.part_facts import PartFacts
from dreammake.plan.chain import Link
from dreammake.plan.shown import public

VERSION = 1
NAME = "dreammake.json"


def document(card: Card, readme: Mapping[str, Any]) -> dict[str, Any]:
    """The card as JSON. `readme` are the values of the README's YAML as dreammake makes them, before what people
    changed on the Hub. It tells no time but those of builds: what is not built anew has the same document."""
    last = card.chain.last
    return {
        "version": VERSION,
        "kind": card.kind,
        "doc": card.doc,
        "fingerprints": dict(last.fingerprints),
        "contents": dict(last.content),
        "splits": {split.name: {"target": split.target, "rows": split.rows} for split in card.splits},
        "chain": [_link(link) for link in card.chain.links],
        "models": [_part(card, facts) for facts in card.models()],
        "datasets": [_part(card, facts) for facts in card.datasets()],
        "license": {
            **card.derived.metadata(),
            "parts": {license.id: {"name": license.name, "url": license.url} for license in card.derived.licenses},
            "unknown": list(card.derived.unknown),
            "conflicts": list(card.derived.conflicts),
            "restrictions": list(card.derived.restrictions),
        },
        "totals": card.totals(),
        "built_with": dict(card.built_with),
        "dreamfile": {
            "file": card.origin.dreamfile,
            "commit": card.origin.commit,
            "changed_since": card.origin.changed,
        },
        "training": dict(card.model.training) if card.model is not None else None,
        "readme": dict(readme),
        "files": dict(card.files),
    }


def _link(link: Link) -> dict[str, Any]:
    record = link.record
    return {
        "rule": link.job.rule.name,
        "doc": link.job.rule.doc,
        "targets": [put.path for put in link.job.outputs],
        "inputs": [public(put.path) for put in link.job.inputs],
        "wildcards": dict(link.job.wildcards),
        "date": utc(record.built_at) if record else None,
        "seconds": round(record.seconds, 3) if record else None,
        "fingerprints": dict(link.fingerprints),
        "contents": dict(link.content),
        "facts": {name: record.facts[name] for name in ("rows", *MARKS) if name in record.facts} if record else {},
        "steps": [
            {
                "step": step.label,
                "texts": dict(step.texts),
                "settings": dict(step.settings),
                "models": [
                    {"model": asked.model, "target": asked.target, "sampling": dict(asked.sampling)}
                    for asked in step.asked
                ],
            }
            for step in link.steps
        ],
    }


def _part(card: Card, facts: PartFacts) -> dict[str, Any]:
    license = facts.license
    return {
        "name": facts.part.name,
        "where": facts.part.where,
        "revision": facts.part.revision,
        "license": {"id": license.id, "name": license.name, "url": license.url} if license else "unknown",
        "url": facts.url,
        "card": facts.card,
        "citations": list(facts.citations),
        "used_by": [link.job.id for link in card.users(facts.part)],
    }


def utc(seconds: float) -> str:
    """A time since 1970 as `2026-11-20T08:34:31Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def published_before(found: Any) -> Mapping[str, Any]:
    """What an earlier publishing left of itself; nothing where the document is none of ours."""
    if not isinstance(found, dict) or "chain" not in found or "readme" not in found:
        return NOTHING
    return found
