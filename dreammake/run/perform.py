"""Does one job: builds its outputs in a temporary folder, then fsync, rename, in this order and no other.

Killed at any instant, a target is complete or absent; what was asked is in the prompt cache.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import fail
from dreammake.core.job import Job, Put, StepCall
from dreammake.core.rows import Rows
from dreammake.core.values import from_json
from dreammake.run.job_log import JobLog
from dreammake.run.work import JobWork
from dreammake.store import files
from dreammake.store.previous import keep_previous

if TYPE_CHECKING:
    from dreammake.store.shared_targets import SharedTargets

_datasync = getattr(os, "fdatasync", os.fsync)
"""Not every system has the first. What it leaves out is only when the file was changed."""
Send = Callable[[Mapping[str, Any]], None]
Finish = Callable[[], dict[str, Any]]
"""Puts the outputs of a job in place: fsync, rename; gives what the build records."""


class Performer:
    """Does the jobs of one worker; keeps what outlives a job (loaded models) in `JobWork`'s asker."""

    def __init__(self, root: Path, state: Path, send: Send, log: JobLog, meanwhile: Callable[[], None]) -> None:
        self._root = root
        self._state = state
        self._send = send
        self._log = log
        self._meanwhile = meanwhile
        self._catalog = Catalog()
        self._temporary = state / "tmp" / str(os.getpid())
        self._folders: dict[tuple[int, int], Path] = {}
        self._turn = 0
        self._asker: Any = None
        self._shared: SharedTargets | None = None

    def close(self) -> None:
        if self._asker is not None:
            self._asker.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def perform(self, job: Job, claim: Mapping[str, Any]) -> Finish:
        """Run the steps of a job. What is left is to put its outputs in place: that is done by calling the result,
        which gives `{"outputs": [[path, fingerprint, signature]], "seconds": 1.2, "facts": {}}`."""
        began = time.monotonic()
        self._turn = 1 - self._turn
        places = {put.path: self._place(number, put) for number, put in enumerate(job.outputs)}
        work = JobWork(
            self._root,
            self._state,
            job,
            claim,
            self._temporary,
            places,
            self._send,
            self._shared_asker,
            self._log,
            self._meanwhile,
        )
        before = {put.path: files.signature(f"{self._root}/{put.path}") for put in job.outputs}
        shared = self._shared_targets(claim, work)
        recipe = str(job.card.get("recipe", ""))
        try:
            taken = shared.take(recipe, [places[put.path] for put in job.outputs]) if shared else None
            if taken is None:
                self._run_steps(job, work, places)
            else:
                work.took(taken)
        except BaseException:
            _clear(work, places)
            raise

        def finish() -> dict[str, Any]:
            try:
                outputs = [self._finish(job, put, places[put.path], before[put.path], work) for put in job.outputs]
                work.forget_checkpoints()
                if shared is not None and taken is None:
                    shared.give(recipe, [(self._root / path, content) for path, content, _ in outputs], work.facts())
            finally:
                _clear(work, places)
            return {"outputs": outputs, "seconds": time.monotonic() - began, "facts": work.facts()}

        return finish

    def _shared_targets(self, claim: Mapping[str, Any], work: JobWork) -> SharedTargets | None:
        """The shared cache of the build, opened once a worker."""
        if self._shared is None and "shared" in claim:
            from dreammake.store.shared_place import open_place
            from dreammake.store.shared_targets import SharedTargets

            options = claim["shared"]
            place = open_place(options["url"])
            self._shared = SharedTargets(place, work.tell, takes=options["takes"], gives=options["gives"])
        return self._shared

    def _place(self, number: int, put: Put) -> Path:
        """Where an output is built: in a folder of this worker, made once, under the name that it will have. Two jobs
        after each other take two folders: the first may be put in place while the second runs."""
        folder = self._folders.get((self._turn, number))
        if folder is None:
            folder = self._folders[self._turn, number] = self._temporary / f"o{self._turn}-{number}"
            folder.mkdir(parents=True)
        return Path(f"{folder}/{os.path.basename(put.path)}")

    def _shared_asker(self, make: Callable[[], Any]) -> Any:
        if self._asker is None:
            self._asker = make()
        return self._asker

    def _run_steps(self, job: Job, work: JobWork, places: Mapping[str, Path]) -> None:
        rows: Rows | None = None
        kinds = [self._catalog.find("steps", call.step) for call in job.steps]
        if not kinds[0].source and kinds[0].makes == "dataset":
            rows = work.first_rows()
        made: Any = rows
        for call, kind in zip(job.steps, kinds, strict=True):
            options = self._options(call, kind, job, places)
            made = kind().run(options, call.name, made, work)
        if isinstance(made, Rows):
            made = {job.outputs[0].name or "": made}
        for put in job.outputs:
            rows = (made or {}).get(put.name or "")
            if rows is not None:
                work.write(rows, places[put.path])

    def _options(self, call: StepCall, kind: Any, job: Job, places: Mapping[str, Path]) -> Any:
        written = from_json(call.options)
        for name, value in written.items():
            if isinstance(value, str) and "\ue000" in value:
                written[name] = _with_outputs(value, job, places)
        return kind.options_for(call.name)(written)

    def _finish(self, job: Job, put: Put, made: Path, before: str | None, work: JobWork) -> list[str]:
        """Move an output to its place. Gives its path, fingerprint and signature."""
        target = f"{self._root}/{put.path}"
        is_folder = _is_folder(made)
        if is_folder is None:
            if before != files.signature(target) and os.path.exists(target):
                return [put.path, files.fingerprint_path(target), files.signature(target) or ""]
            hint = "a command writes to `{output}`" if job.steps[-1].step == "shell" else "the log may say why"
            fail("missing-output", f"the job ended, but did not make `{put.path}`", hint=hint, exit_code=1)
        content = files.fingerprint_path(made)
        if is_folder:
            # No times and no counts of what was asked: equal builds leave equal bytes.
            card = {**job.card, "target": put.path, "content": content, "rows": work.facts().get("rows")}
            (made / files.CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _sync(made, is_folder)
        old = partial(keep_previous, state=self._state, target=put.path, content=content, remove=remove)
        replace(made, target, self._state / "tmp", is_folder, old)
        if put.path in job.card.get("protected", ()):
            _make_readonly(Path(target))
        return [put.path, content, files.signature(target) or ""]


def _clear(work: JobWork, places: Mapping[str, Path]) -> None:
    """Remove what a job left in its temporary folders."""
    work.close()
    for place in places.values():
        if os.path.lexists(place):
            remove(place)


def _with_outputs(command: str, job: Job, places: Mapping[str, Path]) -> str:
    """The command with the marks of outputs replaced by where they are built; marks stand inside single quotes."""
    for number, put in enumerate(job.outputs):
        inside = shlex.quote(str(places[put.path]) + " ")[1:-2]
        command = command.replace(f"\ue000{number}\ue001", inside)
    return command


def _is_folder(path: Path) -> bool | None:
    """None where there is nothing."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        return None


def _sync(path: Path, is_folder: bool) -> None:
    """Put a file, or a folder with all in it, safely on the disk."""
    if is_folder:
        from dreammake.store.dataset_writer import sync_folder

        sync_folder(path)
        return
    file = os.open(path, os.O_RDONLY)
    try:
        _datasync(file)
    finally:
        os.close(file)


def replace(
    made: Path, place: str | Path, trash: Path, is_folder: bool, discard: Callable[[Path], None] | None = None
) -> None:
    """Put `made` at a place by renames. What was there is gone only then; `discard` may take a folder instead."""
    if not is_folder:
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            os.replace(made, place)
            return
    target = Path(place)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        fail("not-a-folder", f"`{target.parent.name}` is a file, but a target lies below it", exit_code=1)
    if target.is_dir() and not target.is_symlink():
        old = trash / f"old-{os.getpid()}-{target.name}"
        os.rename(target, old)
        os.rename(made, target)
        (discard or remove)(old)
    elif is_folder and os.path.lexists(target):
        os.unlink(target)
        os.rename(made, target)
    else:
        os.replace(made, target)


def remove(path: Path) -> None:
    """Remove a file or folder, read-only or not."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o755)
    shutil.rmtree(path, ignore_errors=True)


def _make_readonly(path: Path) -> None:
    if path.is_dir():
        for folder, _, names in os.walk(path):
            for name in names:
                os.chmod(os.path.join(folder, name), 0o444)
            os.chmod(folder, 0o555)
    else:
        os.chmod(path, 0o444)
