"""Publishing: from a fresh target to its files and its card on the Hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dreammake.core import features
from dreammake.core.diagnostic import fail
from dreammake.core.embedded import base_named_by
from dreammake.core.job import Put
from dreammake.core.secrets import SECRETS
from dreammake.core.values import Template
from dreammake.hub import publication
from dreammake.hub.card import Card, ModelFacts, Split, facts_of
from dreammake.hub.model_folder import model_contents, model_facts
from dreammake.hub.parquet import DataFile, write_shards
from dreammake.hub.part_facts import Known, hub_name
from dreammake.hub.publication import Publication, There
from dreammake.hub.repository import Committed, Content, Repository
from dreammake.hub.uploading import Sent, uploads
from dreammake.plan.chain import BASES, Chain, Part, chain_of
from dreammake.session.locking import undisturbed
from dreammake.session.origin import origin_of
from dreammake.session.publishable import Wanted, splits_of
from dreammake.session.session import Session
from dreammake.store.dataset import OpenedDataset, open_dataset

LOCK = "publish.lock"
"""Keeps a second publishing of the project out."""
SAMPLE_ROWS = 3
EXAMPLES = 3
LONGEST_EXAMPLE = 1000
"""Characters of a prompt that is shown as an example."""


class Publishing:
    """Prepares one publication and sends it. The target is fresh."""

    def __init__(self, session: Session, wanted: Wanted, repository: Repository) -> None:
        self._session = session
        self._wanted = wanted
        self._repository = repository
        self._chain: Chain = chain_of(wanted.plan, wanted.job)

    @contextmanager
    def rehearsed(self, *, compared: bool) -> Iterator[Publication]:
        """The publication that a dry run shows. Without `compared` the Hub is not asked what it holds."""
        with undisturbed(self._session, LOCK):
            there = publication.look(self._repository) if compared else There()
            with undisturbed(self._session):
                card, data = self._card(staged := self._staging(), lambda content: None)
            yield publication.prepare(card, data, there)
            shutil.rmtree(staged, ignore_errors=True)

    @contextmanager
    def prepared(self, *, private: bool, sent: Sent) -> Iterator[Publication]:
        """The publication with its large files sent; the repository is made where it is missing. Its files last as long
        as the block, and longer where it fails: the next try takes them over."""
        with undisturbed(self._session, LOCK):
            there = publication.look(self._repository)
            if self._repository.kind == "model":
                self._base()  # before anything is made there
            if there.new:
                self._repository.create(private=private)
            with uploads(self._repository, there.head, sent) as under_way:
                with undisturbed(self._session):
                    card, data = self._card(staged := self._staging(), under_way.add)
                ready = publication.prepare(card, data, there)
            yield ready
            shutil.rmtree(staged, ignore_errors=True)

    def send(self, ready: Publication, tag: str | None) -> Committed:
        """Commit what changed."""
        message = f"Publish {', '.join(put.path for put in self._wanted.job.outputs)} by dreammake"
        return publication.send(ready, self._repository, SECRETS.hide(message), tag)

    def _staging(self) -> Path:
        """A folder of this content: what lies there was written for the same."""
        content = "-".join(self._chain.last.content[put.path][:12] for put in self._wanted.job.outputs)
        folder = self._session.place.state / "publish"
        for old in folder.glob("*"):
            if old.name != content:
                shutil.rmtree(old, ignore_errors=True)
        return folder / content

    def _card(self, staged: Path, made: Callable[[Content], None]) -> tuple[Card, list[Content]]:
        """The card, and the files of the target; `made` is told of each as soon as it is whole."""
        session, job = self._session, self._wanted.job
        facts, derived = facts_of(self._chain, Known(session.place.root, self._readme_of))
        model: ModelFacts | None = None
        splits: tuple[Split, ...] = ()
        sample: tuple[dict[str, Any], ...] = ()
        if self._repository.kind == "model":
            model, data = self._model()
            for content in data:
                made(content)
        else:
            opened = {name: (put, self._open(put)) for name, put in splits_of(job).items()}
            splits = tuple(_split(name, put.path, rows) for name, (put, rows) in opened.items())
            first = next(iter(opened.values()))[1]
            sample = tuple(first.table.slice(0, SAMPLE_ROWS).to_pylist())
            data = []
            for name, (_, rows) in opened.items():
                for file in _shards(rows, name, staged / name):
                    data.append(Content(file.name, file))
                    made(data[-1])
        card = Card(
            self._repository.name,
            job.rule.doc or session.dreamfile.doc,
            self._chain,
            facts,
            derived,
            origin_of(session.place.root, [source.path for source in session.dreamfile.sources]),
            splits,
            model,
            session.log.environment_of(job.id),
            sample,
        )
        return card, data

    def _open(self, put: Put) -> OpenedDataset:
        return open_dataset(self._session.disk.locate(put.path))

    def _model(self) -> tuple[ModelFacts, list[Content]]:
        target, base = self._wanted.job.id, self._base()
        folder = self._session.disk.locate(target)
        return model_facts(target, folder, base, self._examples()), model_contents(folder, base)

    def _base(self) -> str | None:
        """The base of the model by its name on the Hub. Raises DreamError `local-base` for an adapter of another."""
        target = self._wanted.job.id
        base = self._trained_from()
        if base is None and (named := base_named_by(self._session.disk.locate(target))) is not None:
            fail(
                "local-base",
                f"`{target}` is an adapter of `{Path(named).name}`, which is not on the Hub",
                self._wanted.job.rule.span,
                hint="say `merge: True` in the training, or `publish:` in the rule of its base",
            )
        return base

    def _trained_from(self) -> str | None:
        """The name on the Hub of what the model was trained from: of a part, or where its target is published."""
        job = self._wanted.job
        names = self._wanted.plan.graph.names(job)
        for step in job.rule.steps:
            base = step.values(names).get(BASES[0])
            maker = self._wanted.plan.graph.makers.get(base) if isinstance(base, str) else None
            if maker is not None:
                published: str | None = maker.setting("publish")
                return self._repository.owned(published) if published else None
            for part in self._chain.last.parts:
                if part.kind == "model" and part.name == base:
                    return hub_name(part)
        return None

    def _examples(self) -> list[str]:
        """The first prompts of what the model learned from, or was measured on."""
        from dreammake.lang.template import compile_template

        job, disk = self._wanted.job, self._session.disk
        names = self._wanted.plan.graph.names(job)
        templates = [
            value for step in job.rule.steps if isinstance(value := step.values(names).get("prompt"), Template)
        ]
        datasets = [put for put in job.inputs if disk.kind(put.path) == "dataset"]
        if not templates or not datasets:
            return []
        chosen = next((put for put in datasets if put.name == "eval"), datasets[0])
        opened = self._open(chosen)
        render = compile_template(templates[0], opened.columns)
        texts = [render(row) for row in opened.table.slice(0, EXAMPLES).to_pylist()]
        return [text for text in dict.fromkeys(texts) if len(text) <= LONGEST_EXAMPLE]

    def _readme_of(self, part: Part) -> str | None:
        """The README of a part that lies in the project, or on the Hub."""
        if part.where == "project":
            with suppress(OSError, ValueError):
                return (self._session.disk.locate(part.name) / "README.md").read_text(encoding="utf-8")
        name = hub_name(part)
        return self._repository.card_of(name, part.kind, part.revision) if name is not None else None


def _split(name: str, target: str, rows: OpenedDataset) -> Split:
    return Split(name, target, rows.count, {field.name: features.kind_of(field) for field in rows.table.schema})


def _size(rows: OpenedDataset) -> int:
    return sum(file.stat().st_size for file in rows.files)


def _shards(rows: OpenedDataset, split: str, folder: Path) -> Iterator[DataFile]:
    """The Parquet shards of a split: those that an interrupted publishing left, or new ones."""
    index = folder / "files.json"
    if index.is_file():
        found = json.loads(index.read_text(encoding="utf-8"))
        yield from (DataFile(name, folder / file, size, sha256) for name, file, size, sha256 in found)
        return
    shutil.rmtree(folder, ignore_errors=True)
    made = []
    for one in write_shards(rows, _size(rows), split, folder):
        made.append([one.name, one.path.name, one.size, one.sha256])
        yield one
    index.write_text(json.dumps(made), encoding="utf-8")
