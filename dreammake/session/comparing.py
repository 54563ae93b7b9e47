"""What a dataset is compared with: the build before, another folder, or what was published of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.rows import Rows
from dreammake.plan.chain import HUB
from dreammake.session.session import Session
from dreammake.store.dataset import OpenedDataset, open_dataset, spool
from dreammake.store.previous import KEPT_BYTES, previous_of


def version_before(session: Session, target: str) -> Path:
    """The folder of the build before. Raises DreamError `no-build-before`."""
    place = previous_of(session.place.state, target)
    if not place.exists():
        hint = f"the next build that changes it keeps this one, a dataset of {KEPT_BYTES // 10**9} GB at most"
        fail("no-build-before", f"no build of `{target}` before this one is kept", hint=hint)
    return place


def other_version(session: Session, target: str, other: str, folder: Path, say: Callable[[str], None]) -> OpenedDataset:
    """The rows of a dataset folder, or of `hf://org/name@revision`: of the split that publishing calls the target.
    `folder` is a new one, for a copy."""
    if not other.startswith(HUB):
        return open_dataset(Path(other))
    name, _, revision = other.partition("@")
    return spool(_published(name, revision or None, _split_of(session, target), say), folder)


def _published(source: str, revision: str | None, split: str, say: Callable[[str], None]) -> Rows:
    from dreammake.core.catalog import Catalog
    from dreammake.steps._hub_dataset import rows_of

    options = Catalog().find("steps", "load").Options({"source": [source], "split": split, "revision": revision})
    work: Any = _Reading(say)
    return rows_of(source, options, work)


def _split_of(session: Session, target: str) -> str:
    from dreammake.session.publishable import ONLY_SPLIT

    maker = session.graph([target]).makers.get(target)
    puts = maker.outputs if maker is not None else ()
    return next((put.name for put in puts if put.path == target and put.name), ONLY_SPLIT)


class _Reading:
    """The `Work` of one look at the Hub: no build pinned anything for it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def pinned(self, revision: str) -> str | None:
        return None

    def pin(self, revision: str, commit: str) -> None:
        """Nobody asks later."""
