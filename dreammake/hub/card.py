"""All that a card tells, gathered; `card_metadata`, `card_text` and `card_document` write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dreammake.core.values import NOTHING
from dreammake.hub.licensing import Derived, derive
from dreammake.hub.part_facts import Known, PartFacts
from dreammake.plan.chain import Chain, Link, Part

MARKS = ("cost", "prompts_asked", "prompts_cached", "prompt_tokens", "completion_tokens", "failed_rows", "cut_answers")
"""Facts of the build log that a card adds up."""


@dataclass(frozen=True, slots=True)
class Split:
    """A dataset that is published, as one split of its repository. `columns` are kinds by name: an Arrow type,
    `Image`."""

    name: str
    target: str
    rows: int
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model that is published. `base` is its base's name on the Hub, where that is known."""

    target: str
    form: Literal["adapter", "model"]
    library: str
    task: str
    base: str | None
    training: Mapping[str, Any]
    """What `training.json` holds."""
    chat: bool
    examples: tuple[str, ...] = ()
    """Prompts such as it was trained on."""

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured on the `eval` input, by its name without `eval_`."""
        return {
            name.removeprefix("eval_"): float(value)
            for name, value in self.training.items()
            if name.startswith("eval_") and isinstance(value, int | float) and not isinstance(value, bool)
        }


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a build came from: the commit of the Dreamfile, and whether it was changed since."""

    dreamfile: str
    commit: str | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A target with its chain. `repo` is where it goes; `built_with` are versions, system and GPUs of its build."""

    repo: str
    doc: str
    chain: Chain
    facts: tuple[PartFacts, ...]
    derived: Derived
    origin: Origin
    splits: tuple[Split, ...] = ()
    model: ModelFacts | None = None
    built_with: Mapping[str, Any] = NOTHING
    sample: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default=NOTHING)
    """The data files by name, each with the SHA-256 of its bytes."""

    @property
    def kind(self) -> Literal["model", "dataset"]:
        return "dataset" if self.model is None else "model"

    @property
    def synthetic(self) -> bool:
        """Did a model write any of it, or of what it learned from?"""
        return any(step.asked for link in self.chain.links for step in link.steps)

    @property
    def rows(self) -> int:
        return sum(split.rows for split in self.splits)

    def models(self) -> list[PartFacts]:
        return [facts for facts in self.facts if facts.part.kind == "model"]

    def datasets(self) -> list[PartFacts]:
        return [facts for facts in self.facts if facts.part.kind == "dataset"]

    def users(self, part: Part) -> list[Link]:
        """The jobs that use a part."""
        return [link for link in self.chain.links if part in link.parts]

    def totals(self) -> dict[str, float]:
        """The facts of all builds of the chain, added up; those that are 0 are left out."""
        found = {mark: self.chain.total(mark) for mark in MARKS}
        return {mark: value for mark, value in found.items() if value}


def facts_of(chain: Chain, known: Known) -> tuple[tuple[PartFacts, ...], Derived]:
    """What is known of the parts of a chain, and the licence that follows."""
    facts = tuple(known.facts(part) for part in chain.parts)
    return facts, derive(facts)
