"""Pins a workflow: fingerprints from its plan, versions and revisions from this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreammake import __version__
from dreammake.core.values import models_in
from dreammake.lang.dreamfile import StepDecl
from dreammake.plan.chain import BASES, HUB
from dreammake.plan.graph import Graph
from dreammake.plan.pinned import Difference, Pinned, differences, pin
from dreammake.plan.plan import revisions
from dreammake.session.environment import versions_of
from dreammake.session.session import Session

ENGINE_LIBRARIES: Mapping[str, Sequence[str]] = {
    "transformers": ("torch", "transformers"),
    "sentence-transformers": ("sentence-transformers", "torch", "transformers"),
    "vllm": ("torch", "vllm"),
    "llamacpp": ("xllamacpp",),
}
TRAINER_LIBRARIES = ("peft", "torch", "transformers", "trl")
_ON_HUB = re.compile(r"\w[\w.-]*/[\w.-]+")
HOSTED_TRAINERS = ("openai",)
"""Methods that run elsewhere: no library of this machine shapes their models."""


def pinned(session: Session, words: Sequence[str], *, asks: bool = False) -> Pinned:
    """The targets behind the words (none: all that have plain names), pinned. With `asks`, the Hub is asked for commits
    that this machine does not know. Raises DreamError."""
    selection = session.select_or_all(words)
    plan = session.plan(selection)
    found = outside(plan.graph)
    commits = {**_in_hub_cache(found, session.environment), **revisions(plan)}
    if asks:
        commits = {**_on_the_hub(found, plan.graph, commits), **commits}
    return replace(pin(plan, words), versions=_versions(found), revisions=commits)


def verify(session: Session, lock: Pinned, words: Sequence[str]) -> tuple[list[Difference], Pinned]:
    """How the targets behind the words (none: those of the lock) differ from the lock; and what they are now."""
    now = pinned(session, words or lock.words)
    if words:
        lock = replace(lock, targets={target: one for target, one in lock.targets.items() if target in now.targets})
    return differences(lock, now), now


def other_versions(lock: Pinned, now: Pinned) -> dict[str, tuple[str | None, str | None]]:
    """The libraries and the Hub's revisions that are others than the lock says: (in the lock, here). A commit that one
    of them does not know is no difference."""
    libraries = sorted({*lock.versions, *now.versions})
    found = {name: (lock.versions.get(name), now.versions.get(name)) for name in libraries}
    known = sorted({*lock.revisions} & {*now.revisions})
    found |= {name: (lock.revisions[name], now.revisions[name]) for name in known}
    return {name: (was, here) for name, (was, here) in found.items() if was != here}


def outside(graph: Graph) -> dict[tuple[str, str], None]:
    """What a workflow uses that is not in the project, each once: `("library", name)`, `("models", "org/name@main")`,
    `("datasets", ...)`."""
    found: dict[tuple[str, str], None] = {("library", "pyarrow"): None}
    seen: set[str] = set()
    for job in graph.jobs:
        per_job = any(setting.compute is not None for step in job.rule.steps for setting in step.settings.values())
        if job.rule.name in seen and not per_job:
            continue
        seen.add(job.rule.name)
        names = graph.names(job)
        for step in job.rule.steps:
            found |= dict.fromkeys(_of_step(step, step.values(names)))
    return found


def _of_step(step: StepDecl, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for spec in models_in([*values.values()]):
        yield from (("library", name) for name in ENGINE_LIBRARIES.get(spec.engine, ()))
        if not spec.target and spec.engine in ENGINE_LIBRARIES and not spec.options.get("base_url"):
            yield "models", f"{spec.model}@{spec.options.get('revision') or 'main'}"
    if step.kind.makes == "model" and step.name not in HOSTED_TRAINERS:
        yield from (("library", name) for name in TRAINER_LIBRARIES)
        for option in BASES:
            if isinstance(base := values.get(option), str):
                yield "models", f"{base}@{(option == 'base' and values.get('revision')) or 'main'}"
    for value in values.values():
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and text.startswith(HUB):
                yield "datasets", f"{text.removeprefix(HUB)}@{values.get('revision') or 'main'}"


def _versions(found: Mapping[tuple[str, str], None]) -> dict[str, str]:
    return {"dreammake": __version__, **dict(versions_of(name for kind, name in found if kind == "library"))}


def _in_hub_cache(found: Mapping[tuple[str, str], None], environment: Mapping[str, str]) -> dict[str, str]:
    """The commits of models and datasets, by the Hub's cache on this machine; nobody is asked."""
    commits = {}
    for kind, name in found:
        if kind != "library":
            repository, _, revision = name.rpartition("@")
            folder = _hub_cache(environment) / f"{kind}--{repository.replace('/', '--')}"
            with suppress(OSError, ValueError):
                commit = folder.joinpath("refs", revision).read_text(encoding="ascii").strip()
                commits[_key(kind, name)] = commit
    return commits


def _on_the_hub(found: Mapping[tuple[str, str], None], graph: Graph, known: Mapping[str, str]) -> dict[str, str]:
    """The commits that are not known yet, by the Hub itself."""
    from dreammake.hub.commits import Named, commits_of

    wanted: dict[Named, str] = {}
    for kind, named in found:
        name, _, revision = named.rpartition("@")
        in_project = name in graph.makers or name in graph.sources
        if kind != "library" and _key(kind, named) not in known and not in_project and _ON_HUB.fullmatch(name):
            wanted["model" if kind == "models" else "dataset", name, revision] = _key(kind, named)
    return {wanted[one]: commit for one, commit in commits_of(wanted).items()} if wanted else {}


def _key(kind: str, named: str) -> str:
    """How a lock names a revision: `org/name@main`, for a dataset with `hf://` before it."""
    return f"{HUB}{named}" if kind == "datasets" else named


def _hub_cache(environment: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps what it fetched."""
    home = environment.get("HF_HOME") or os.path.join(
        environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    return Path(environment.get("HF_HUB_CACHE") or os.path.join(home, "hub"))
