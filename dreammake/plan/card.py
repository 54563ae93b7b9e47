"""The card of a target: what it was made from and how, as `dreammake.json` holds it beside the target's files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreammake.core import fingerprint
from dreammake.core.secrets import SECRETS
from dreammake.plan.graph import PlannedJob
from dreammake.plan.recipe import Ingredient, Recipe
from dreammake.plan.stale import Reason, compare

CARD_VERSION = 1


def card_of(job: PlannedJob, recipe: Recipe, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The card: rule, recipe, and the content of every input. No times: equal builds have equal cards. A plain file has
    none beside it, so its job gets only what the worker uses."""
    mine = {
        "recipe": fingerprint.of_value([recipe.shared.digest, recipe.own_text, sorted(inputs.items())]),
        "inputs": dict(inputs),
        "protected": [put.path for output, put in zip(job.rule.outputs, job.outputs, strict=True) if output.protected],
    }
    if job.outputs[0].kind == "file":
        return mine
    return {
        "version": CARD_VERSION,
        "rule": job.rule.name,
        "doc": SECRETS.hide(job.rule.doc),
        "wildcards": dict(job.wildcards),
        "ingredients": [[item.where, item.kind, item.shown or item.value] for item in recipe.ingredients()],
        **mine,
    }


def card_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Reason]:
    """What differs between what two builds of a target were made from, by their cards; nothing where one has none."""
    if not before or not now:
        return []
    ingredients = [Ingredient(where, kind, value) for where, kind, value in now.get("ingredients", ())]
    found = compare(before.get("ingredients", ()), ingredients)
    old, new = before.get("inputs", {}), now.get("inputs", {})
    paths = [path for path in dict.fromkeys([*new, *old]) if old.get(path) != new.get(path)]
    return [*found, *(Reason("input", path, old.get(path), new.get(path), path=path) for path in paths)]
