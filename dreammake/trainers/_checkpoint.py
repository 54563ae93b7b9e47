"""Checkpoints: complete ones are marked, and a training that was killed goes on from the last of them.

checkpoint-40/          as transformers writes it
    sums-0.json         what process 0 had added up since the last line of the log
    complete            {"made_by": {"processes": 1, ...}, "files": {"optimizer.pt": 93467, ...}}, written last
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import Trainer

_MARK = "complete"


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a training begins: at a checkpoint, or at the start (None), and what was passed over on the way."""

    checkpoint: Path | None
    passed_over: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        return step_of(self.checkpoint) if self.checkpoint else 0


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def name_of(step: int) -> str:
    return f"checkpoint-{step}"


def last(folder: Path, made_by: Mapping[str, Any]) -> Resumption:
    """The last checkpoint that is whole and that as many processes made in the same way."""
    passed_over: list[str] = []
    for checkpoint in sorted(_all(folder), key=step_of, reverse=True):
        why = _refusal(checkpoint, made_by)
        if why is None:
            return Resumption(checkpoint, tuple(passed_over))
        passed_over.append(f"{checkpoint.name} is passed over: {why}")
    return Resumption(None, tuple(passed_over))


def complete(folder: Path) -> list[Path]:
    """The checkpoints that are marked."""
    return [checkpoint for checkpoint in _all(folder) if (checkpoint / _MARK).is_file()]


def are_elsewhere(folder: Path) -> bool:
    """Whether an earlier recipe of the same target has checkpoints, in a folder beside this one."""
    return any(complete(other) for other in folder.parent.iterdir() if other != folder and other.is_dir())


def mark(checkpoint: Path, made_by: Mapping[str, Any]) -> None:
    """Say that a checkpoint is written to its end."""
    document = {"made_by": dict(made_by), "files": _sizes(checkpoint)}
    beside = checkpoint / f"{_MARK}.new"
    beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, checkpoint / _MARK)


def remove_older(folder: Path, limit: int, best: str | None) -> None:
    """Keep the newest `limit` complete checkpoints, and the best one."""
    kept = sorted(complete(folder), key=step_of, reverse=True)[: max(limit, 1)]
    for checkpoint in _all(folder):
        if step_of(checkpoint) < step_of(kept[-1]) and checkpoint.name != Path(best or "").name:
            shutil.rmtree(checkpoint, ignore_errors=True)


def remove_after(folder: Path, step: int) -> None:
    """Remove what lies after a step: a training that goes on from there writes it again."""
    for checkpoint in _all(folder):
        if step_of(checkpoint) > step:
            shutil.rmtree(checkpoint, ignore_errors=True)


def save_sums(trainer: Trainer, checkpoint: Path) -> None:
    """Write what the trainer has added up since the last line of its log, which transformers does not keep: so the log
    of a training that goes on is that of one that was never stopped."""
    sums = {name: float(getattr(trainer, name)) for name in ("_tr_loss", "_total_loss_scalar")}
    means = {name: list(values) for name, values in getattr(trainer, "_metrics", {}).get("train", {}).items()}
    tokens = getattr(trainer, "_total_train_tokens", None)
    document = {"last_logged": trainer._globalstep_last_logged, "sums": sums, "means": means, "tokens": tokens}
    _sums_file(trainer, checkpoint).write_text(json.dumps(document, default=float), encoding="utf-8")


def restore_sums(trainer: Trainer, checkpoint: Path) -> None:
    document = json.loads(_sums_file(trainer, checkpoint).read_text(encoding="utf-8"))
    trainer._globalstep_last_logged = document["last_logged"]
    trainer._tr_loss += document["sums"]["_tr_loss"]
    trainer._total_loss_scalar = document["sums"]["_total_loss_scalar"]
    for name, values in document["means"].items():
        trainer._metrics["train"][name].extend(values)
    if document["tokens"] is not None:
        trainer._total_train_tokens = document["tokens"]


def _sums_file(trainer: Trainer, checkpoint: Path) -> Path:
    return checkpoint / f"sums-{trainer.args.process_index}.json"


def _all(folder: Path) -> list[Path]:
    return [place for place in folder.glob("checkpoint-*") if place.name.rpartition("-")[2].isdigit()]


def _refusal(checkpoint: Path, made_by: Mapping[str, Any]) -> str | None:
    """Why a training cannot go on from a checkpoint, or None."""
    try:
        document = json.loads((checkpoint / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it is half-written"
    sizes = _sizes(checkpoint)
    damaged = sorted(name for name, size in document["files"].items() if sizes.get(name) != size)
    if damaged:
        return f"{', '.join(damaged)} in it is not what was written"
    if document["made_by"] != dict(made_by):
        return f"it was made by {_in_words(document['made_by'])}, and this training runs on {_in_words(made_by)}"
    return None


def _sizes(checkpoint: Path) -> dict[str, int]:
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != _MARK)
    return {str(file.relative_to(checkpoint)): file.stat().st_size for file in files}


def _in_words(made_by: Mapping[str, Any]) -> str:
    count = made_by["processes"]
    return "1 process" if count == 1 else f"{count} processes ({made_by['strategy']})"
