"""What is sent: the files with their card, compared with what the Hub holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.secrets import SECRETS
from dreammake.core.values import NOTHING
from dreammake.hub.card import Card
from dreammake.hub.card_document import NAME, document, published_before
from dreammake.hub.card_metadata import metadata
from dreammake.hub.card_text import card_text
from dreammake.hub.readme import readme
from dreammake.hub.repository import FROM_THE_START, MAIN, Committed, Content, Head, Repository


@dataclass(frozen=True, slots=True)
class Publication:
    """A target as it goes to the Hub: all its files, those that are new or changed there, and the names of files of
    an earlier publishing that are gone. `readme` is the card as it will stand there."""

    card: Card
    contents: tuple[Content, ...]
    readme: str
    changed: tuple[Content, ...]
    gone: tuple[str, ...]
    head: Head | None

    def listing(self) -> list[tuple[str, str, int]]:
        """Every file: what happens to it (`new`, `changed`, `same`, `gone`), its name, its size in bytes."""
        there = self.head.files if self.head is not None else {}
        changed = {one.name: "changed" if one.name in there else "new" for one in self.changed}
        told = [(changed.get(one.name, "same"), one.name, one.size) for one in self.contents]
        return [*told, *(("gone", name, 0) for name in self.gone)]

    @property
    def nothing(self) -> bool:
        return not self.changed and not self.gone


@dataclass(frozen=True, slots=True)
class There:
    """What the Hub holds before: the head of the revision (None: nothing), the README and what an earlier publishing
    left of itself. A revision that is `new` is still to be made."""

    new: bool = True
    head: Head | None = None
    readme: str | None = None
    before: Mapping[str, Any] = NOTHING


def look(repository: Repository) -> There:
    """What is there before; a new branch begins as `main`. Raises DreamError `name-taken` where the repository holds
    what dreammake did not put there."""
    here = repository.head()
    head = here or repository.head(MAIN)
    if head is None:
        return There()
    before = _before(repository.read(NAME, head))
    if not before and set(head.files) - {*FROM_THE_START, NAME}:
        fail(
            "name-taken",
            f"`{repository.name}` holds files that dreammake did not put there",
            hint="choose another name with --to, or remove those files on the Hub first",
            exit_code=1,
        )
    return There(here is None, head, repository.read("README.md", head), before)


def prepare(card: Card, data: Sequence[Content], there: There) -> Publication:
    """The data with its card, compared with what the Hub holds."""
    card = replace(card, files={one.name: one.sha256 for one in data})
    values = SECRETS.hide_in(metadata(card))
    title = card.repo.split("/")[-1]
    text = readme(title, values, SECRETS.hide(card_text(card)), there.readme, there.before.get("readme"))
    told = json.dumps(SECRETS.hide_in(document(card, values)), indent=1, ensure_ascii=False)
    contents = (
        *data,
        Content("README.md", text.encode()),
        Content(NAME, f"{told}\n".encode()),
    )
    head = there.head
    if head is None:
        return Publication(card, contents, text, contents, (), None)
    changed = tuple(content for content in contents if not content.is_there(head))
    names = {content.name for content in contents}
    gone = tuple(name for name in there.before.get("files", ()) if name in head.files and name not in names)
    return Publication(card, contents, text, changed, gone, head)


def send(publication: Publication, repository: Repository, message: str, tag: str | None) -> Committed:
    """Commit what changed, at once or not at all, to a repository that is there."""
    head = publication.head
    if head is not None and publication.nothing:
        done = Committed(head.commit, f"{repository.url}/commit/{head.commit}")
    else:
        parent = head or repository.head()
        commit = parent.commit if parent is not None else None
        done = repository.commit(publication.changed, publication.gone, message, commit)
    if tag is not None and done.pull_request is None:
        repository.tag(tag, done.commit)
    return done


def _before(text: str | None) -> Mapping[str, Any]:
    try:
        return published_before(json.loads(text)) if text else NOTHING
    except ValueError:
        return NOTHING
