"""Which names an expression reads, and how far into each: so that a recipe holds only what is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dreammake.core.span import Span
from dreammake.lang import syntax as s

Chain = tuple[str, ...]
"""What stands behind a name: `config.train["lr"]` is ("train", "lr"); () is the whole."""


def free_names(expr: s.Expr) -> dict[str, Span]:
    """The names that an expression reads and does not bind itself, each with the first place."""
    found: dict[str, Span] = {}
    for name, _ in _reads(expr, frozenset()):
        if name.id not in found or name.span.start < found[name.id].start:
            found[name.id] = name.span
    return dict(sorted(found.items(), key=lambda item: item[1].start))


def chains(expr: s.Expr, root: str) -> set[Chain]:
    """The longest constant chains that are read below the name `root`."""
    return {chain for name, chain in _reads(expr, frozenset()) if name.id == root}


def capture(names: Mapping[str, Any], wanted: Mapping[str, Iterable[Chain]]) -> dict[str, Any]:
    """The smallest part of `names` that holds all wanted chains: `{"config": {"train": {"lr": 0.1}}}`.

    A chain whose end is not there is cut where it is lost, so that reading it fails later as it would have.
    A name that is not there is left out.
    """
    return {root: _part(names[root], set(found)) for root, found in wanted.items() if root in names and found}


def _part(value: Any, wanted: set[Chain]) -> Any:
    if () in wanted or not isinstance(value, Mapping):
        return _plain(value)
    heads: dict[str, set[Chain]] = {}
    for head, *rest in wanted:
        heads.setdefault(head, set()).add(tuple(rest))
    if any(head not in value and hasattr(dict, head) for head in heads):
        return _plain(value)
    return {key: _part(value[key], heads[key]) for key in value if key in heads}


def _plain(value: Any) -> Any:
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _reads(expr: Any, bound: frozenset[str]) -> Iterator[tuple[s.Name, Chain]]:
    """Each free name with its chain; `bound` are the names that enclosing loops bind."""
    root, chain = _chain(expr)
    if root is not None:
        if root.id not in bound:
            yield root, chain
        return
    match expr:
        case tuple():
            for part in expr:
                yield from _reads(part, bound)
        case s.Comprehension(_, _, key, value, clauses):
            for clause in clauses:
                yield from _reads(clause.items, bound)
                bound |= set(clause.targets)
                for test in clause.tests:
                    yield from _reads(test, bound)
            for part in (key, value):
                yield from _reads(part, bound)
        case s.Call(_, s.Attribute() as method, args, kwargs):
            yield from _method_reads(method, bound)
            yield from _reads((args, kwargs), bound)
        case s.Expr():
            slots: tuple[str, ...] = expr.__match_args__
            for slot in slots:
                if slot != "span":
                    yield from _reads(getattr(expr, slot), bound)


def _method_reads(method: s.Attribute, bound: frozenset[str]) -> Iterator[tuple[s.Name, Chain]]:
    """`config.tags.count(x)` reads `config.tags`; `config.items()` the whole of `config`."""
    root, chain = _chain(method)
    if root is None:
        yield from _reads(method.value, bound)
    elif root.id not in bound:
        yield root, chain[:-1]


def _chain(expr: Any) -> tuple[s.Name | None, Chain]:
    keys: list[str] = []
    while True:
        match expr:
            case s.Name():
                return expr, tuple(reversed(keys))
            case s.Attribute(_, value, name):
                keys.append(name)
                expr = value
            case s.Index(_, value, s.Text(_, key)):
                keys.append(key)
                expr = value
            case _:
                return None, ()
