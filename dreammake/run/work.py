"""What a running step may use: inputs, temporary folders, models, progress (`core.step.Work`)."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.engine import Answer, EngineContext, Reader, Request
from dreammake.core.job import Job
from dreammake.core.rows import Rows
from dreammake.core.step import RowError, Spooled
from dreammake.core.values import ModelSpec
from dreammake.run.job_log import JobLog
from dreammake.store.error_table import ErrorTable, kept_at
from dreammake.store.files import ERRORS
from dreammake.store.ledger import Ledger

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

PROGRESS_EVERY = 0.1
"""Seconds between two progress messages."""


class JobWork:
    """The `Work` of one job in a worker."""

    def __init__(
        self,
        root: Path,
        state: Path,
        job: Job,
        claim: Mapping[str, Any],
        temporary: Path,
        places: Mapping[str, Path],
        send: Callable[[Mapping[str, Any]], None],
        shared_asker: Callable[[Callable[[], Any]], Any],
        log: JobLog,
        meanwhile: Callable[[], None],
    ) -> None:
        self.inputs = job.inputs
        self.outputs = job.outputs
        self.gpus: tuple[str, ...] = tuple(claim.get("gpus", ()))
        self.nodes: int = claim.get("nodes", 1)
        self.meeting: Path | None = Path(claim["meeting"]) if "meeting" in claim else None
        self.meanwhile = meanwhile
        self._log = log
        self._root = root
        self._state = state
        self._job = job
        self._claim = claim
        self._temporary = temporary
        self._places = places
        self._send = send
        self._shared_asker = shared_asker
        self._made: list[Path] = []
        self._checkpoints: Path | None = None
        self._asker: Any = None
        self._facts: dict[str, Any] = {}
        self._sent = 0.0
        self._errors = ErrorTable(temporary / "errors.jsonl")
        self._written: Path | None = None
        """The first dataset that was written: it holds the error table."""
        with suppress(FileNotFoundError):
            os.unlink(kept_at(state, job.id))

    @property
    def log_path(self) -> str:
        """The file that standard output and error go to."""
        return self._log.path

    def open(self, path: str) -> Rows:
        from dreammake.store.dataset import open_dataset

        return open_dataset(self.path(path))

    def first_rows(self) -> Rows | None:
        """The rows of the job's first input, or None where that is no dataset: then a function reads it itself."""
        from dreammake.store.dataset import is_dataset

        if not self.inputs or not self._job.steps:
            return None
        place = self.path(self.inputs[0].path)
        if self._job.steps[0].step == "python" and not (place.is_dir() and is_dataset(place)):
            return None
        return self.open(self.inputs[0].path)

    def path(self, path: str) -> Path:
        return self._root / path

    def folder(self) -> Path:
        folder = self._temporary / f"f{len(self._made)}"
        folder.mkdir(parents=True)
        self._made.append(folder)
        return folder

    def output_folder(self) -> Path:
        """Where the (only) output is built, made as an empty folder."""
        place = self._places[self._job.outputs[0].path]
        place.mkdir(exist_ok=True)
        return place

    def output_path(self, path: str) -> Path:
        """Where an output is built, until it is moved to `path`."""
        return self._places[path]

    def checkpoint_folder(self) -> Path:
        """A folder that outlives the job when it is killed, for the next job of the same target and recipe."""
        self._checkpoints = self._state / "checkpoints" / self._job.id.replace("/", "__")[:180]
        folder = self._checkpoints / str(self._job.card.get("recipe", "unknown"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def forget_checkpoints(self) -> None:
        """The job ended well: nobody goes on from its checkpoints, nor from those of its target's earlier recipes."""
        if self._checkpoints is not None:
            shutil.rmtree(self._checkpoints, ignore_errors=True)

    def spool(self, rows: Rows) -> Spooled:
        from dreammake.store.dataset import spool

        return spool(rows, self.folder())

    def ask(self, model: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        return self._own_asker().ask(model, requests, reader)  # type: ignore[no-any-return]

    def embed(self, model: ModelSpec, texts: Sequence[str]) -> NDArray[float32]:
        return self._own_asker().embed(model, texts)  # type: ignore[no-any-return]

    def kept(self, dataset: str, model: ModelSpec | None, how: Any, make: Callable[[Path], None]) -> Path:
        from dreammake.run.kept import kept_folder
        from dreammake.store.files import fingerprint_path

        content = self._job.card.get("inputs", {}).get(dataset) or fingerprint_path(self.path(dataset))
        identity = None if model is None else self._own_asker().embedder_identity(model)
        return kept_folder(self._state, dataset, content, model, identity, how).make(make)

    def _own_asker(self) -> Any:
        """The worker's asker, as this job uses it."""
        from dreammake.run.asking import Stats

        asker = self._shared_asker(self._new_asker)
        if self._asker is None:
            self._asker = asker
            asker.stats = Stats()
        asker.identities = self._job.card.get("inputs", {})
        asker.steps = self._job.steps
        return asker

    def pinned(self, revision: str) -> str | None:
        found = self._claim.get("revisions", {}).get(revision)
        return None if found is None else str(found)

    def pin(self, revision: str, commit: str) -> None:
        self._facts.setdefault("revisions", {})[revision] = commit

    def error(self, error: RowError) -> None:
        self._errors.add(error)

    def _new_asker(self) -> Any:
        from dreammake.core.catalog import Catalog
        from dreammake.run.asking import Asker

        context = EngineContext(self.path, os.cpu_count() or 1, self.gpus, self.say, self._state / "tmp" / "shared")
        ledger = self._claim.get("ledger")
        return Asker(
            self._state / "prompts",
            lambda name: Catalog().find("models", name),
            context,
            offline=bool(self._claim.get("offline")),
            ledger=None if ledger is None else Ledger(Path(ledger)),
        )

    def write(self, rows: Rows, folder: Path) -> None:
        """Write a dataset, telling how far it is."""
        from dreammake.store.dataset_writer import write_dataset

        facts = write_dataset(self._counted(rows), folder)
        self._written = self._written or folder
        self._errors.move_to(self._written / ERRORS)
        self._facts["rows"] = self._facts.get("rows", 0) + facts.rows

    def _counted(self, rows: Rows) -> Rows:
        def batches() -> Iterator[Any]:
            done = 0
            for batch in rows:
                yield batch
                done += batch.num_rows
                self.progress(done, rows.count)

        return Rows(rows.columns, batches, rows.count)

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        if measures:
            self._facts |= {name: measures[name] for name in ("loss", "eval_loss") if name in measures}
            self._facts["steps"] = done
        now = time.monotonic()
        if now - self._sent < PROGRESS_EVERY:
            return
        self._sent = now
        fields: dict[str, Any] = {"done": done, "total": total, "measures": measures}
        if self._asker is not None:
            fields |= {"prompts_cached": self._asker.stats.cached, "prompts_asked": self._asker.stats.asked}
        if measures:
            fields["unit"] = "steps"
        self._send({"progress": fields})

    def say(self, line: str) -> None:
        print(line, flush=True)

    def tell(self, line: str) -> None:
        self.say(line)
        self._send({"progress": {"done": 0, "note": line}})

    def took(self, facts: Mapping[str, Any]) -> None:
        """The outputs came from a shared cache, built elsewhere: these are the facts of that build."""
        self._facts |= facts

    def facts(self) -> dict[str, Any]:
        """What the build log and the card tell of the job: rows, prompts, tokens, cost."""
        facts = dict(self._facts)
        if self._errors.count:
            facts |= {"failed_rows": self._errors.count, "retry_rows": self._errors.again}
        if self._asker is not None:
            stats = self._asker.stats
            facts |= {
                "prompts_cached": stats.cached,
                "prompts_asked": stats.asked,
                "prompt_tokens": stats.prompt_tokens,
                "completion_tokens": stats.completion_tokens,
                "cost": stats.cost,
            }
            if stats.cut:
                facts["cut_answers"] = stats.cut
        return facts

    def close(self) -> None:
        """Remove the folders that the job made. The error table of a job that failed stays in the state folder."""
        if self._errors.count:
            self._errors.move_to(Path(kept_at(self._state, self._job.id)))
        for folder in self._made:
            shutil.rmtree(folder, ignore_errors=True)
