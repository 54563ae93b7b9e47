"""Datasets of the Hugging Face Hub: pinned to a commit, then read as record batches, from a copy or as a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core import features
from dreammake.core.diagnostic import fail
from dreammake.core.rows import BATCH_ROWS, Rows
from dreammake.core.spelling import did_you_mean
from dreammake.core.step import Work
from dreammake.steps._sources import HUB

if TYPE_CHECKING:
    import pyarrow as pa


def rows_of(source: str, options: Any, work: Work) -> Rows:
    """The rows of `hf://org/name`, at the commit that this build pins its revision to. Nothing of a streamed dataset
    is kept. Raises DreamError: no such dataset, configuration or split, no right, no network."""
    if find_spec("datasets") is None:
        fail("missing-package", f"{source} needs the package datasets", hint="pip install datasets", exit_code=1)
    name = source.removeprefix(HUB).strip("/")
    dataset = _opened(name, options, _commit(name, options.revision, work))
    kinds = dataset.features or dataset._resolve_features().features
    schema = features.for_stream(kinds.arrow_schema)
    count = None if options.streaming else len(dataset)
    return Rows(tuple(schema.names), lambda: _batches(dataset, schema), count)


def _batches(dataset: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for table in dataset.with_format("arrow").iter(BATCH_ROWS):
        for batch in table.combine_chunks().to_batches():
            yield pa.record_batch(batch.columns, schema=schema)


def _commit(name: str, revision: str | None, work: Work) -> str:
    """The commit that the revision stands for: as it was pinned, else as the Hub says now."""
    key = f"{HUB}{name}@{revision or 'main'}"
    commit = work.pinned(key)
    if commit is None:
        from huggingface_hub import HfApi

        try:
            commit = str(HfApi().dataset_info(name, revision=revision).sha)
        except Exception as error:  # huggingface_hub has errors of its own for each status, and passes httpx's on
            _refused(name, error)
        work.say(f"{key} is the commit {commit}")
    work.pin(key, commit)
    return commit


def _opened(name: str, options: Any, commit: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(
            name, options.config, split=options.split, revision=commit, streaming=options.streaming
        )
    except Exception as error:  # as above
        _refused(name, error)
    if not isinstance(found, dict):
        return found
    if len(found) > 1:
        fail(
            "several-splits",
            f"{HUB}{name} holds several datasets: {', '.join(found)}",
            hint="name one: `split:`",
            exit_code=1,
        )
    return next(iter(found.values()))


def _refused(name: str, error: Exception) -> NoReturn:
    """What went wrong, from the message: the libraries have no types for it."""
    message = " ".join(str(error).split())
    if match := re.search(r"Unknown split \"(.*?)\". Should be one of \[(.*?)\]", message):
        splits = re.findall(r"'(.*?)'", match[2])
        fail(
            "no-such-split", f"{HUB}{name} has no split `{match[1]}`", hint=did_you_mean(match[1], splits), exit_code=1
        )
    if match := re.search(r"(?:available configs|Available): \[(.*?)\]", message):
        known = re.findall(r"'(.*?)'", match[1])
        said = (
            f"{HUB}{name} has several configurations" if "missing" in message else f"{HUB}{name} has no such `config`"
        )
        fail("no-such-config", said, hint=f"name one of them: {', '.join(known[:20])}", exit_code=1)
    if type(error).__name__ == "RevisionNotFoundError":
        fail(
            "unreachable-source", f"{HUB}{name} has no such revision", hint="look at its branches and tags", exit_code=1
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    known_reasons = {
        401: "it does not exist, or it is private and HF_TOKEN is not set",
        403: "the token of HF_TOKEN has no right to it",
        404: "it does not exist, or it is private and HF_TOKEN is not set",
        429: "the Hub says that it is asked too often",
    }
    reason = known_reasons.get(status or 0) or message or type(error).__name__
    hint = "look whether its page opens on the Hub; what was loaded before needs no network"
    fail("unreachable-source", f"{HUB}{name} cannot be read: {reason[:300]}", hint=hint, exit_code=1)
