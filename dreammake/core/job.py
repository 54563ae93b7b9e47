"""A job: one rule bound to concrete targets, as a frozen JSON document.

A worker runs it without reading the Dreamfile; a cluster's worker does, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dreammake.core.values import NOTHING

Kind = Literal["dataset", "model", "file"]
"""`file` stands for whatever a shell or Python rule leaves at its path: a file or a folder."""


@dataclass(frozen=True, slots=True)
class Put:
    """One input or output of a job: its name in the rule (or None) and its path in the project.

    `kind` is None where only the disk can tell (a source that no rule makes).
    """

    name: str | None
    path: str
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class StepCall:
    """One step of a job: which step, the NAME after it, and its options, as JSON (`core.values.to_json`)."""

    step: str
    name: str | None
    options: Mapping[str, Any]
    place: str = ""
    """Where it stands, `Dreamfile:24`: for messages only."""


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker needs.

    `id` is the first output's path. `card` is what is written beside the target: rule, recipe, lineage.
    """

    id: str
    rule: str
    inputs: tuple[Put, ...]
    outputs: tuple[Put, ...]
    steps: tuple[StepCall, ...]
    resources: Mapping[str, Any] = NOTHING
    card: Mapping[str, Any] = NOTHING

    def to_json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "id": self.id,
            "rule": self.rule,
            "inputs": [[p.name, p.path, p.kind] for p in self.inputs],
            "outputs": [[p.name, p.path, p.kind] for p in self.outputs],
            "steps": [[s.step, s.name, dict(s.options), s.place] for s in self.steps],
            "resources": dict(self.resources),
            "card": dict(self.card),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        return cls(
            data["id"],
            data["rule"],
            tuple(Put(*put) for put in data["inputs"]),
            tuple(Put(*put) for put in data["outputs"]),
            tuple(StepCall(*step) for step in data["steps"]),
            data["resources"],
            data["card"],
        )
