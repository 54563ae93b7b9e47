"""A dataset folder as a source of `load`: which of its splits, and its columns."""

from __future__ import annotations

import json
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.spelling import did_you_mean
from dreammake.steps._arrow_files import arrow_columns
from dreammake.steps._files import DataFile


def split(file: DataFile, wanted: str | None) -> str:
    """The folder of the wanted split inside a dataset folder: `.` where it has no splits."""
    group = file.path / "dataset_dict.json"
    if not group.is_file():
        return "."
    splits = list(_json(file, "dataset_dict.json").get("splits") or ())
    if wanted is None and len(splits) == 1:
        return str(splits[0])
    if wanted is None:
        fail("several-splits", f"{file.name} holds several datasets: {', '.join(splits)}", hint="name one: `split:`")
    if wanted not in splits:
        fail("no-such-split", f"{file.name} has no split `{wanted}`", hint=did_you_mean(wanted, splits))
    return wanted


def columns(file: DataFile, wanted: str | None) -> tuple[str, ...]:
    """The column names, from the folder's JSON, or from the first data file."""
    inside = split(file, wanted)
    features = _json(file, f"{inside}/dataset_info.json").get("features")
    if features:
        return tuple(features)
    names = [entry["filename"] for entry in _json(file, f"{inside}/state.json").get("_data_files") or ()]
    return arrow_columns(DataFile(file.name, file.path / inside / names[0], "arrow")) if names else ()


def _json(file: DataFile, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((file.path / name).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        fail("damaged-dataset", f"the dataset {file.name} is damaged: {name} cannot be read", exit_code=1)
