"""What the files of a base model tell before it is opened: how large it is, under which licence, how it splits text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreammake.core.embedded import EMBEDDED, base_folder, base_named_by
from dreammake.core.trainer import Training

_LICENCE = re.compile(r"\A---\n.*?^license:[ \t]*[\"']?([^\s\"']+)", re.MULTILINE | re.DOTALL)
_LONGEST_HEADER = 1 << 28
"""Bytes: what stands in a file's first 8 bytes is no header's length beyond it."""
_WAIT = 5.0
"""Seconds for the Hub to tell of a base that is not on this machine yet."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """`shapes` are those of its weights by name, where they are known; `stored` is their size in bytes."""

    parameters: int | None = None
    stored: int | None = None
    shapes: Shapes | None = None
    licence: str | None = None
    tokenizer: Path | None = None


def base_facts(training: Training, revision: str | None = None) -> BaseFacts:
    """The facts of a training's base; those of an adapter are its base's. Nothing is downloaded."""
    base = base_folder(training.base, training.say)
    for _ in range(8):  # an adapter may be on a base that is one, but not for ever
        named = base_named_by(base)
        if named is None:
            break
        folder = training.path(named)
        base = folder if folder.is_dir() else base_folder(named, training.say)
    there = Path(base) if Path(base).is_dir() else _in_cache(str(base), revision)
    return _of_hub(str(base), revision) if there is None else _of_folder(there)


def licence_fact(base: str | Path) -> dict[str, str]:
    """`base_licence`, where the README of a base on this machine says it; `base` is its folder, or its name."""
    folder = Path(base) if Path(base).is_dir() else _in_cache(str(base), None)
    licence = None if folder is None else _licence(folder)
    return {} if licence is None else {"base_licence": licence}


def _of_folder(folder: Path) -> BaseFacts:
    shapes: Shapes = {}
    stored = 0
    for file in sorted(folder.glob("*.safetensors")):
        for name, shape, size in _tensors(file):
            shapes[name] = shape
            stored += size
    tokenizer = folder / "tokenizer.json"
    return BaseFacts(
        sum(map(math.prod, shapes.values())) or None,
        stored or None,
        shapes or None,
        _licence(folder),
        tokenizer if tokenizer.is_file() else None,
    )


def _tensors(file: Path) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Names, shapes and bytes, as a safetensors file begins: 8 bytes of length, then JSON."""
    with suppress(OSError, ValueError, KeyError), file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        header: dict[str, Any] = json.loads(content.read(length)) if length < _LONGEST_HEADER else {}
        for name, tensor in header.items():
            if name != "__metadata__":
                begin, end = tensor["data_offsets"]
                yield name, tuple(tensor["shape"]), end - begin


def _licence(folder: Path) -> str | None:
    if folder.name.startswith(f"{EMBEDDED}-"):
        return "apache-2.0"
    with suppress(OSError, ValueError):
        found = _LICENCE.match((folder / "README.md").read_text("utf-8").replace("\r\n", "\n"))
        return None if found is None else found[1]
    return None


def _in_cache(name: str, revision: str | None) -> Path | None:
    """The folder of a model of the Hub, where it is on this machine already."""
    with suppress(Exception):  # names that the Hub does not take
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(name, "config.json", revision=revision)
        return Path(found).parent if isinstance(found, str) else None
    return None


def _of_hub(name: str, revision: str | None) -> BaseFacts:
    with suppress(Exception):  # offline, say: the training itself will tell
        from huggingface_hub import HfApi

        found = HfApi().model_info(name, revision=revision, expand=["safetensors", "cardData"], timeout=_WAIT)
        card = found.card_data
        return BaseFacts(
            None if found.safetensors is None else found.safetensors.total,
            licence=None if card is None or card.license is None else str(card.license),
        )
    return BaseFacts()
