"""A fine-tuning job on an endpoint: begun once, and waited for however often the build is killed."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from dreammake.core.diagnostic import Diagnostic, DreamError, Note, fail
from dreammake.core.fingerprint import canonical
from dreammake.core.trainer import Training
from dreammake.trainers._hosted.api import FineTuningAPI, Refused

ENDED = ("succeeded", "failed", "cancelled")
_KEPT = "hosted_job.json"
_TOLD = 5
"""How many of the last events are told when a job failed."""
_MEASURES = {
    "train_loss": "loss",
    "train_mean_token_accuracy": "mean_token_accuracy",
    "valid_loss": "eval_loss",
    "valid_mean_token_accuracy": "eval_mean_token_accuracy",
    "full_valid_loss": "eval_loss",
    "full_valid_mean_token_accuracy": "eval_mean_token_accuracy",
}
"""OpenAI's names of measures, and those of other methods; the later of two for one name counts."""


@dataclass(slots=True)
class Kept:
    """What the next build must know, on disk as soon as it is known.

    `about` is a digest of what was asked of which endpoint: what is kept for something else is not used. `tag` is in
    the job's metadata, so that a job whose id was never heard is found.
    """

    place: Path
    about: str
    files: dict[str, str] = field(default_factory=dict)
    tag: str | None = None
    job: str | None = None

    @classmethod
    def at(cls, folder: Path, about: Mapping[str, Any]) -> Kept:
        """What is kept in a folder about this; else nothing yet."""
        place, digest = folder / _KEPT, hashlib.sha256(canonical(about).encode()).hexdigest()
        try:
            found = json.loads(place.read_text("utf-8"))
        except (OSError, ValueError):
            found = {}
        if found.get("about") != digest:
            return cls(place, digest)
        return cls(place, digest, found["files"], found["tag"], found["job"])

    def write(self) -> None:
        """A whole file at every instant."""
        made = self.place.with_suffix(".new")
        kept = {"about": self.about, "files": self.files, "tag": self.tag, "job": self.job}
        made.write_text(json.dumps(kept), encoding="utf-8")
        os.replace(made, self.place)


@dataclass(frozen=True, slots=True)
class Examples:
    """A file of JSON lines to upload: what it holds is known by its digest, and so is its name on the endpoint."""

    file: Path
    digest: str
    count: int


def begun(
    api: FineTuningAPI, kept: Kept, examples: Mapping[str, Examples], body: Mapping[str, Any], training: Training
) -> str:
    """The id of the job that trains on the examples: the one that was begun before, or else a new one.

    `examples` are by OpenAI's name of their role, `training_file` say; `body` is the rest of the request.
    """
    if kept.job is not None:
        training.tell(f"waiting for the job {kept.job}, which an earlier build began")
        return kept.job
    for role, made in examples.items():
        if role not in kept.files:
            kept.files[role] = api.upload(made.file, f"dreammake-{made.digest[:24]}.jsonl")
            kept.write()
            size = made.file.stat().st_size
            training.say(f"{role.replace('_', ' ')} {kept.files[role]}: {made.count:,} examples, {size:,} bytes")
    kept.tag = kept.tag or uuid.uuid4().hex
    kept.write()
    try:
        kept.job = api.create({**body, **kept.files}, kept.tag)
    except Refused as refused:
        kept.place.unlink(missing_ok=True)  # a file may be what is refused
        _refused(refused, str(body["model"]), api.base_url)
    kept.write()
    training.say(f"job {kept.job} at {api.base_url}")
    return kept.job


def waited_for(
    api: FineTuningAPI, kept: Kept, job: str, every: float, training: Training
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The job when it has succeeded, and its measures: a row a step. Looks every so many seconds.

    Raises DreamError where it failed. Where the build is interrupted, the job runs on: it is the endpoint's.
    """
    told = _Told(training)
    try:
        while True:
            found = _job(api, kept, job)
            told.take(api.events(job, told.last))
            if found.get("status") in ENDED:
                break
            time.sleep(every)
    except KeyboardInterrupt:
        training.tell(f"the fine-tuning job {job} goes on at {api.base_url}: the same command waits for it again")
        raise
    if found["status"] != "succeeded" or not found.get("fine_tuned_model"):
        kept.job = kept.tag = None
        kept.write()
        _failed(found, job, told.lines[-_TOLD:])
    return found, [{"step": step, **measures} for step, measures in sorted(told.measures.items())]


class _Told:
    """What events tell: lines for the log, measures by step."""

    def __init__(self, training: Training) -> None:
        self.last: str | None = None
        self.lines: list[str] = []
        self.measures: dict[int, dict[str, float]] = {}
        self._training = training

    def take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.last = event.get("id", self.last)
            message = " ".join(str(event.get("message") or "").split())
            if message:
                self.lines.append(message)
                self._training.say(message)
            self._measure(event.get("data") or {})

    def _measure(self, data: Mapping[str, Any]) -> None:
        step = data.get("step")
        if not isinstance(step, int):
            return
        found = {name: data[key] for key, name in _MEASURES.items() if isinstance(data.get(key), int | float)}
        self.measures[step] = self.measures.get(step, {}) | found
        self._training.progress(step, data.get("total_steps"), **found)


def _job(api: FineTuningAPI, kept: Kept, job: str) -> dict[str, Any]:
    try:
        return api.job(job)
    except Refused as refused:
        kept.job = kept.tag = None
        kept.write()
        fail(
            "hosted-job-lost",
            f"{api.base_url} does not know the fine-tuning job {job} any more ({refused.status}: {refused.said})",
            hint="run the same command again: it begins a new job with the files that are there",
            exit_code=1,
        )


def _failed(found: Mapping[str, Any], job: str, lines: list[str]) -> NoReturn:
    error = found.get("error") or {}
    said = str(error.get("message") or "it does not say why").rstrip(".")
    how = "was cancelled" if found.get("status") == "cancelled" else f"failed: {said}"
    notes = tuple(Note(line) for line in lines)
    hint = "mend what it says and build again: a new job is begun, with the files that are there if they are the same"
    raise DreamError(
        Diagnostic("hosted-job-failed", f"the fine-tuning job {job} {how}", hint=hint, notes=notes), exit_code=1
    )


def _refused(refused: Refused, model: str, base_url: str) -> NoReturn:
    said = f"({refused.status}: {refused.said})"
    if refused.status == 404:
        hint = "check `base`, and `base_url` where it is not OpenAI's own model"
        fail("no-such-model", f'{base_url} cannot fine-tune "{model}" {said}', hint=hint, exit_code=1)
    fail("bad-request", f"{base_url} refuses to fine-tune {model} {said}", exit_code=1)
