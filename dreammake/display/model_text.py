"""The facts of a model folder, for a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreammake.core.embedded import base_named_by
from dreammake.core.hosted_model import hosted_in
from dreammake.display.amounts import size

_CONFIGS = ("config.json", "adapter_config.json", "training.json")


def model_facts(path: str, folder: Path) -> dict[str, Any]:
    """What the files of a model folder tell: its kind, its base, its training, its files with their sizes in bytes."""
    found = {name: _read(folder / name) for name in _CONFIGS}
    config, adapter, training = (found[name] or {} for name in _CONFIGS)
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
    return {
        "target": path,
        "kind": _kind(folder, found),
        "architecture": (config.get("architectures") or [None])[0],
        "base": base_named_by(folder),
        "lora": {name: adapter[name] for name in ("r", "lora_alpha", "target_modules") if name in adapter},
        "training": training,
        "files": files,
    }


def _kind(folder: Path, found: Mapping[str, Any]) -> str:
    if found["adapter_config.json"] is not None:
        return "adapter"
    return "model" if found["config.json"] is not None else "hosted model" if hosted_in(folder) else "folder"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def draw_model(facts: Mapping[str, Any]) -> str:
    """One fact a line, then the files. What the training tells keeps its order: method, base, rows, measures."""
    told = {name.replace("_", " "): value for name, value in facts["training"].items() if _is_plain(value)}
    if facts["base"]:
        told["base"] = facts["base"]
    if facts["lora"]:
        told["lora"] = ", ".join(f"{name} {_short(value)}" for name, value in facts["lora"].items())
    width = max(map(len, told), default=0)
    return "\n".join(
        [
            ", ".join(filter(None, [f"{facts['target']}: {facts['kind']}", facts["architecture"]])),
            *(f"  {name:<{width}}  {_short(value)}" for name, value in told.items()),
            *(f"  {size(number):>9}  {name}" for name, number in facts["files"].items()),
        ]
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(sorted(map(str, value))) if isinstance(value, list) else str(value)
