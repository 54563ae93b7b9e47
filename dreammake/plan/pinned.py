"""What a workflow is, pinned: every target with its reproducibility fingerprint and the ingredients behind it, to be
compared with what the Dreamfile says later, or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dreammake.core import fingerprint
from dreammake.core.diagnostic import fail
from dreammake.core.values import NOTHING
from dreammake.plan.plan import Plan
from dreammake.plan.recipe import Ingredient
from dreammake.plan.reproducibility import reproducibility
from dreammake.plan.stale import Reason, compare

LONGEST = 2000
"""Characters of a value that is kept as it is; of a longer one only its size and fingerprint are."""

Row = Sequence[Any]
"""An ingredient: where, kind, value, and how a person reads it."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One target. `shared` names the ingredients that its rule's targets have in common; `inputs` holds the path and
    the fingerprint of each input by its role."""

    fingerprint: str
    shared: str
    own: Sequence[Row]
    inputs: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Pinned:
    """All targets behind some words of the command line (none: all that have plain names).

    `versions` are those of the libraries that shape what is built, `revisions` the commits of what comes from the Hub,
    as far as this machine knows them; neither is in a fingerprint.
    """

    words: Sequence[str] = ()
    targets: Mapping[str, Pin] = NOTHING
    ingredients: Mapping[str, Sequence[Row]] = NOTHING
    versions: Mapping[str, str] = NOTHING
    revisions: Mapping[str, str] = NOTHING

    def rows(self, pin: Pin) -> list[Row]:
        return [*self.ingredients.get(pin.shared, ()), *pin.own]


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of one target. It `follows` where only what it is made from changed."""

    target: str
    kind: Literal["added", "removed", "changed", "follows"]
    reasons: tuple[Reason, ...] = field(default=())


def pin(plan: Plan, words: Sequence[str]) -> Pinned:
    """The targets of a plan, pinned. Raises DreamError `not-built` where some are not known yet."""
    unknown = [*plan.graph.pending, *(job.unknown for job in plan.graph.jobs if job.unknown is not None)]
    if unknown:
        message = f"what depends on the column `{unknown[0].column}` of `{unknown[0].target}` is not known yet"
        fail("not-built", message, hint=f"build it first: dreammake {unknown[0].target}")
    identities = reproducibility(plan)
    ingredients: dict[str, list[Row]] = {}
    targets: dict[str, Pin] = {}
    for job in plan.graph.jobs:
        recipe = plan.graph.recipe(job)
        shared = recipe.shared
        if shared.digest not in ingredients:
            ingredients[shared.digest] = [_row(item) for item in shared.ingredients]
        own = [_row(item) for item in recipe.own]
        inputs = {
            role: [put.path, identities.get(put.path) or plan.contents.get(put.path) or ""]
            for role, put in zip(job.roles, job.inputs, strict=True)
        }
        for put in job.outputs:
            targets[put.path] = Pin(identities[put.path], shared.digest, own, inputs)
    return Pinned(tuple(words), targets, ingredients)


def differences(old: Pinned, new: Pinned) -> list[Difference]:
    """What differs between two workflows, in the order in which the second one is built; what is gone comes last."""
    found = []
    for target, now in new.targets.items():
        before = old.targets.get(target)
        if before is None:
            found.append(Difference(target, "added"))
        elif before.fingerprint != now.fingerprint:
            reasons = _reasons(old, before, new, now)
            own = any(reason.root for reason in reasons)
            found.append(Difference(target, "changed" if own else "follows", tuple(reasons)))
    found += [Difference(target, "removed") for target in old.targets if target not in new.targets]
    return found


def _reasons(old: Pinned, before: Pin, new: Pinned, now: Pin) -> list[Reason]:
    reasons: list[Reason] = []
    if before.shared != now.shared or before.own != now.own:
        made = [Ingredient(row[0], row[1], row[2], None, row[3]) for row in new.rows(now)]
        reasons += compare(old.rows(before), made) or [Reason("option", "the order of the steps")]
    for role in [*now.inputs, *(role for role in before.inputs if role not in now.inputs)]:
        (was_path, was), (path, here) = before.inputs.get(role, ("", None)), now.inputs.get(role, ("", None))
        if was == here:
            continue
        if path in new.targets and was_path in old.targets:
            reasons.append(Reason("input-will-change", path, was, here, path=path))
        else:
            reasons.append(Reason("input", path or was_path, was, here, path=path or was_path))
    return reasons


def _row(item: Ingredient) -> Row:
    """An ingredient as the lock holds it: a tree that has words for it, and a long value, by their fingerprints."""
    value = item.value
    if item.shown is not None:
        return [item.where, item.kind, fingerprint.of_value(value), item.shown]
    text = value if isinstance(value, str) else fingerprint.canonical(value)
    if len(text) > LONGEST:
        value = f"{len(text):,} characters ({fingerprint.of_text(text)})"
    return [item.where, item.kind, value, None]
