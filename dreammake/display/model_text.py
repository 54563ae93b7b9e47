"""The facts of a model folder, for a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreammake.display.amounts import size

_CONFIGS = ("config.json", "adapter_config.json", "training.json")


def model_facts(path: str, folder: Path) -> dict[str, Any]:
    """What the files of a model folder tell: its kind, its base, its training, its files with their sizes in bytes."""
    found = {name: _read(folder / name) for name in _CONFIGS}
    config, adapter, training = (found[name] or {} for name in _CONFIGS)
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
    return {
        "target": path,
        "kind": "adapter" if found["adapter_config.json"] is not None else "model" if config else "folder",
        "architecture": (config.get("architectures") or [None])[0],
        "base": adapter.get("base_model_name_or_path"),
        "lora": {name: adapter[name] for name in ("r", "lora_alpha", "target_modules") if name in adapter},
        "training": training,
        "files": files,
    }


def _read(file: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def draw_model(facts: Mapping[str, Any]) -> str:
    lines = [f"{facts['target']}: {facts['kind']}" + (f", {facts['architecture']}" if facts["architecture"] else "")]
    if facts["base"]:
        lines.append(f"  base      {facts['base']}")
    if facts["lora"]:
        lines.append("  lora      " + ", ".join(f"{name} {_short(value)}" for name, value in facts["lora"].items()))
    for name, value in facts["training"].items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            lines.append(f"  {name:<9} {_short(value)}")
    lines += [f"  {size(number):>9}  {name}" for name, number in facts["files"].items()]
    return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(sorted(map(str, value))) if isinstance(value, list) else str(value)
