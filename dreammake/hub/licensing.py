"""The licence of what is made of many parts: what all of them ask, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from dreammake.hub.part_facts import License, PartFacts


@dataclass(frozen=True, slots=True)
class Derived:
    """The licence of a whole. `unknown` are the parts whose licence nobody says; `conflicts` and `restrictions` are
    sentences."""

    licenses: tuple[License, ...]
    """Those of the parts, once each, the one that asks most first."""
    unknown: tuple[str, ...]
    conflicts: tuple[str, ...]
    restrictions: tuple[str, ...]

    def metadata(self) -> dict[str, str]:
        """The Hub's YAML: `license`, and for what the Hub has no name for, `license_name` and `license_link`.

        Empty where no part is of others: then it is for the author to say.
        """
        if self.unknown:
            return {"license": "unknown"}
        if not self.licenses:
            return {}
        binding = [license for license in self.licenses if license.own or license.passed_on]
        if not self.conflicts and len(binding) < 2 and not self.licenses[0].own:
            return {"license": self.licenses[0].id}
        named = list(self.licenses) if self.conflicts else binding
        name = "-and-".join(dict.fromkeys(license.id for license in named))
        link = {"license_link": named[0].url} if named[0].url else {}
        return {"license": "other", "license_name": f"conflicting-{name}" if self.conflicts else name, **link}


def derive(parts: Iterable[PartFacts]) -> Derived:
    """The licence of what is made of the parts."""
    users: dict[License, list[str]] = {}
    unknown: list[str] = []
    for facts in parts:
        if facts.license is None:
            unknown.append(facts.part.name)
        else:
            users.setdefault(facts.license, []).append(facts.part.name)
    ranked = sorted(users, key=lambda license: (-license.rank, license.id))
    conflicts = [
        f"{_of(one, users)} {why}"
        for one in ranked
        if one.no_derivatives and (why := "allows no derivatives, and this is one")
    ]
    for one, other in combinations(ranked, 2):
        for first, second in ((one, other), (other, one)):
            if why := _contradiction(first, second):
                conflicts.append(f"{_of(first, users)} {why} {_of(second, users)}")
                break
    restrictions = [f"{_of(license, users)}: {license.restricts}" for license in ranked if license.restricts]
    return Derived(tuple(ranked), tuple(dict.fromkeys(unknown)), tuple(conflicts), tuple(restrictions))


def _contradiction(license: License, other: License) -> str:
    """Why what is made of both cannot keep to the first one, in words that stand between the two; or nothing."""
    if not license.share_alike or other.id in license.also or license.id in other.also:
        return ""
    if other.share_alike:
        return "wants the whole under itself, and so does"
    if other.noncommercial and not license.noncommercial:
        return "wants the whole under itself, which allows commerce; that is forbidden by"
    if other.passed_on or other.restricts:
        return "wants the whole under itself, and no more conditions; there are some in"
    return ""


def _of(license: License, users: dict[License, list[str]]) -> str:
    return f"{license.id} ({', '.join(dict.fromkeys(users[license]))})"
