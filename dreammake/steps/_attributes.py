"""The options `attributes` and `weights` of `generate`: all combinations of values, or as many of them as are wanted.

attributes: {"topic": ["sea", "hill"], "tone": ["grave", "light"]}                           4 combinations
attributes: {"topic": {"sport": {"game": ["chess", "golf"]}, "love": {}}, "tone": ["light"]}  3: `love` has no game
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as count_from
from itertools import islice
from math import prod
from typing import Any

from dreammake.core.options import Dict, Wrong, describe
from dreammake.core.spelling import did_you_mean

Combination = dict[str, Any]

_MOST_PRODUCT = 10_000_000
_EXAMPLE = 'write `attributes: {"topic": ["sea", "hill"], "tone": ["grave", "light"]}`'
_WEIGHTS = 'write `weights: {"tone": [3, 1]}`'


@dataclass(frozen=True, slots=True)
class _Value:
    """One value of an attribute, and the attributes that only it has."""

    value: Any
    weight: float
    below: Space


@dataclass(frozen=True, slots=True)
class Space:
    """All combinations of some attributes."""

    attributes: tuple[tuple[str, tuple[_Value, ...]], ...]
    size: int

    def all(self) -> Iterator[Combination]:
        """Each combination once, the last attribute changing first."""
        return map(self._at, range(self.size))

    def evenly(self, seed: int) -> Iterator[Combination]:
        """Combinations without end, in an order of chance: none comes again before all have come."""
        size = self.size
        for turn in count_from():
            yield from map(self._at, _shuffled(size, random.Random(f"{seed} {turn}")))

    def weighted(self, seed: int) -> Iterator[Combination]:
        """Combinations without end, each drawn by the weights of its values."""
        chance = random.Random(seed)
        while True:
            yield self._drawn(chance)

    def _at(self, number: int) -> Combination:
        parts: list[Combination] = []
        for name, values in reversed(self.attributes):
            number, at = divmod(number, sum(value.below.size for value in values))
            for value in values:
                if at < value.below.size:
                    parts.append({name: value.value, **value.below._at(at)})
                    break
                at -= value.below.size
        return {name: value for part in reversed(parts) for name, value in part.items()}

    def _drawn(self, chance: random.Random) -> Combination:
        found: Combination = {}
        for name, values in self.attributes:
            (value,) = chance.choices(values, [value.weight for value in values])
            found |= {name: value.value, **value.below._drawn(chance)}
        return found


class Attributes(Dict):
    takes = "a dict of attributes, each with a list of values"


def names_in(attributes: Any) -> tuple[str, ...]:
    """The names of all attributes, each before those that hang on its values; they may be wrong otherwise."""
    found: dict[str, None] = {}
    for name, values in attributes.items() if isinstance(attributes, Mapping) else ():
        found[name] = None
        for below in values.values() if isinstance(values, Mapping) else ():
            found |= dict.fromkeys(names_in(below))
    return tuple(found)


def space_of(options: Any) -> Space:
    """The combinations that a step's options describe. Raises `Wrong`."""
    if not options.attributes:
        raise Wrong("`attributes` has no attribute", _EXAMPLE, "bad-attributes")
    weights: dict[str, Any] = options.weights or {}
    space = _space(options.attributes, weights, ())
    for name, given in weights.items():
        _check_names(name, given, options.attributes)
    if options.count is None and space.size > _MOST_PRODUCT:
        message = f"`attributes` have {space.size:,} combinations"
        raise Wrong(message, "say with `count` how many of them are wanted", "out-of-range")
    return space


def combinations(options: Any, space: Space) -> tuple[Iterator[Combination], int]:
    """Those that the options want, and how many there are."""
    if options.count is None:
        return space.all(), space.size
    seed = options.seed or 0
    endless = space.evenly(seed) if not options.weights else space.weighted(seed)
    return islice(endless, options.count), options.count


def _space(attributes: Any, weights: Mapping[str, Any], above: tuple[str, ...]) -> Space:
    found = []
    for name, values in attributes.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise Wrong(f"`attributes` has the name {name!r}, which no prompt can read", _EXAMPLE, "bad-attributes")
        if name in above:
            raise Wrong(f"`attributes` has `{name}` below itself", "give it another name", "bad-attributes")
        found.append((name, _values(name, values, weights, (*above, name))))
    seen: set[str] = set()
    for name, values in attributes.items():
        for one in names_in({name: values}):
            if one in seen:
                raise Wrong(f"`attributes` has `{one}` twice", "give one another name", "bad-attributes")
            seen.add(one)
    return Space(tuple(found), prod(sum(value.below.size for value in values) for _, values in found))


def _values(name: str, values: Any, weights: Mapping[str, Any], above: tuple[str, ...]) -> tuple[_Value, ...]:
    if not isinstance(values, list | tuple | Mapping) or not values:
        raise Wrong(f"the attribute `{name}` of `attributes` has no list of values", _EXAMPLE, "bad-attributes")
    kinds = {str if isinstance(value, str) else float for value in values}
    if len(kinds) > 1 or not all(isinstance(value, str | int | float) for value in values):
        message = f"the values of the attribute `{name}` of `attributes` are not all texts, or all numbers"
        raise Wrong(message, _EXAMPLE, "bad-attributes")
    weight_of = _weights(name, list(values), weights.get(name))
    found = []
    for value, weight in zip(values, weight_of, strict=True):
        below = values[value] if isinstance(values, Mapping) else {}
        if not isinstance(below, Mapping):
            message = f"`attributes` has {describe(below)} below `{name}: {value}`, where a dict of attributes belongs"
            raise Wrong(message, "weights are told by `weights`", "bad-attributes")
        found.append(_Value(value, weight, _space(below, weights, above)))
    return tuple(found)


def _weights(name: str, values: Sequence[Any], weights: Any) -> list[float]:
    match weights:
        case None:
            return [1.0] * len(values)
        case list() | tuple():
            found = list(weights)
        case Mapping():
            found = [weights.get(value, 1) for value in values]
        case _:
            raise Wrong(f"`weights` has {describe(weights)} for `{name}`, not numbers", _WEIGHTS, "bad-attributes")
    if len(found) != len(values):
        message = f"`weights` has {len(found)} numbers for `{name}`, which has {len(values)} values"
        raise Wrong(message, "give each value its number", "bad-attributes")
    if not all(isinstance(weight, int | float) and weight >= 0 for weight in found) or not sum(found):
        message = f"`weights` for `{name}` are not numbers of 0 or above, with one above 0"
        raise Wrong(message, _WEIGHTS, "bad-attributes")
    return [float(weight) for weight in found]


def _check_names(name: str, weights: Any, attributes: Mapping[str, Any]) -> None:
    """Are a weighted attribute, and its weighted values, there?"""
    if name not in names_in(attributes):
        hint = did_you_mean(name, names_in(attributes))
        raise Wrong(f"`weights` names `{name}`, which is no attribute", hint, "bad-attributes")
    known = list(_values_of(name, attributes))
    for value in weights if isinstance(weights, Mapping) else ():
        if value not in known:
            hint = did_you_mean(str(value), [str(one) for one in known])
            raise Wrong(f"`weights` names {describe(value)}, which is no value of `{name}`", hint, "bad-attributes")


def _values_of(name: str, attributes: Mapping[str, Any]) -> Iterator[Any]:
    for other, values in attributes.items():
        yield from values if other == name else ()
        for below in values.values() if isinstance(values, Mapping) else ():
            yield from _values_of(name, below)


def _shuffled(size: int, chance: random.Random) -> Iterator[int]:
    """The numbers below `size` in an order of chance, as they are wanted: the first ones are the same for any use."""
    moved: dict[int, int] = {}
    for at in range(size):
        other = chance.randrange(at, size)
        found = moved.get(other, other)
        moved[other] = moved.get(at, at)
        moved.pop(at, None)
        yield found
