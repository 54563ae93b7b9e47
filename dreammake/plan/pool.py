"""Pools: what jobs take while they run. CPUs, memory, GPUs by their ids, and pools of the user's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.span import Span
from dreammake.core.spelling import nearest

_BUILT_IN = frozenset({"cpus", "memory", "gpus", "nodes"})
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def amount_of(name: str, value: Any, span: Span | None) -> int:
    """A resource as a whole number: `memory` in bytes ("4GB", "512MiB"). Raises DreamError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", value.lower())):
        return int(float(found[1]) * _UNITS[found[2] or ""])
    fail("wrong-type", f'the resource `{name}` takes a whole number, or a size such as "4GB"', span)


@dataclass(slots=True)
class Pools:
    """What there is, and what is taken. A pool without a capacity never ends."""

    cpus: int
    memory: int | None = None
    """Bytes."""
    gpus: tuple[str, ...] = ()
    """Ids, as CUDA_VISIBLE_DEVICES writes them; each machine has these."""
    nodes: int = 1
    """How many machines a job may have."""
    own: Mapping[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    free_gpus: list[str] = field(default_factory=list)
    running: int = 0

    def __post_init__(self) -> None:
        self.free_gpus = list(self.gpus)

    def check(self, wants: Mapping[str, int], target: str, span: Span | None) -> None:
        """Raise where a job wants more GPUs or machines than there are, as it would wait for ever; or where it means a
        pool that has another name, as it would get nothing."""
        for name in wants.keys() - _BUILT_IN - self.own.keys():
            if (meant := nearest(name, _BUILT_IN)) is not None:
                fail(
                    "unknown-pool",
                    f"`{target}` wants `{name}`, and there is no pool of that name",
                    span,
                    hint=f"did you mean `{meant}`? For a pool of your own, say how much there is: --pool {name}=1",
                )
        if (nodes := wants.get("nodes", 1)) > self.nodes:
            fail(
                "too-few-nodes",
                f"`{target}` wants {nodes} machines, and this executor has {self.nodes}",
                span,
                hint="lower `nodes` in its `resources`, or take an executor that has several: `--executor`",
            )
        if wants.get("gpus", 0) > len(self.gpus):
            fail(
                "too-few-gpus",
                f"`{target}` wants {wants['gpus']} GPUs, and this machine has {len(self.gpus)}",
                span,
                hint="lower `gpus` in its `resources`, or run it where there are more",
            )

    def fits(self, wants: Mapping[str, int]) -> bool:
        """Can a job that wants this start now? One that wants more than all there is runs alone."""
        for name, amount in wants.items():
            if name == "gpus":
                if amount > len(self.free_gpus):
                    return False
                continue
            capacity = self._capacity(name)
            if capacity is not None and self.taken.get(name, 0) + min(amount, capacity) > capacity:
                return False
        return True

    def take(self, wants: Mapping[str, int]) -> dict[str, Any]:
        """What the job gets: `cpus`, and `gpus` as a list of ids."""
        claim: dict[str, Any] = {}
        for name, amount in wants.items():
            if name == "gpus":
                claim["gpus"] = [self.free_gpus.pop(0) for _ in range(amount)]
                continue
            capacity = self._capacity(name)
            claim[name] = amount if capacity is None else min(amount, capacity)
            self.taken[name] = self.taken.get(name, 0) + claim[name]
        self.running += 1
        return claim

    def give_back(self, claim: Mapping[str, Any]) -> None:
        for name, amount in claim.items():
            if name == "gpus":
                self.free_gpus = [gpu for gpu in self.gpus if gpu in self.free_gpus or gpu in amount]
            elif name in self.taken:
                self.taken[name] -= amount
        self.running -= 1

    def _capacity(self, name: str) -> int | None:
        if name == "cpus":
            return self.cpus
        if name == "memory":
            return self.memory
        return self.own.get(name)
