"""A model folder without weights: it names a model that an endpoint hosts, such as one that was fine-tuned there.

The file `hosted_model.json` is `{"model": "ft:gpt-4o-mini:me::a1", "base_url": "https://.../v1"}`. No key is in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "hosted_model.json"


@dataclass(frozen=True, slots=True)
class HostedModel:
    """The endpoint's name for a model, and the address of the endpoint, up to and with `/v1`."""

    model: str
    base_url: str

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def is_model_folder(folder: str | Path) -> bool:
    """Does a folder hold a model's weights, or an adapter's?"""
    return any((Path(folder) / name).is_file() for name in ("config.json", "adapter_config.json", "modules.json"))


def hosted_in(folder: str | Path) -> HostedModel | None:
    """The hosted model that a folder names; None where it names none."""
    try:
        found = json.loads((Path(folder) / FILE).read_text("utf-8"))
        return HostedModel(str(found["model"]), str(found["base_url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
