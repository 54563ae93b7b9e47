"""Makes the table of prices out of litellm's: `python -m dreammake.core.prices [WHEEL]`.

WHEEL is a file of `pip download --no-deps litellm`; without it, an installed litellm is read (as data: not imported).
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dreammake.core.prices import TABLE

_BACKUP = "model_prices_and_context_window_backup.json"
_MODES = frozenset({"chat", "completion", "responses", "embedding"})


def main(words: list[str]) -> int:
    entries = dict(sorted(_entries(json.loads(_text(words)))))
    lines = [f"{json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}" for name, entry in entries.items()]
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    print(f"{len(entries):,} prices in {TABLE.name}")
    return 0


def _text(words: list[str]) -> str:
    if words:
        with zipfile.ZipFile(words[0]) as wheel:
            return wheel.read(f"litellm/{_BACKUP}").decode()
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        raise SystemExit("litellm is not installed; give the file of its wheel: pip download --no-deps litellm")
    return (Path(spec.origin).parent / _BACKUP).read_text("utf-8")


def _entries(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    for name, entry in found.items():
        provider = entry.get("litellm_provider")
        given = _dollars(entry.get("input_cost_per_token"))
        if entry.get("mode") not in _MODES or not provider or given is None:
            continue
        context = entry.get("max_input_tokens") or entry.get("max_tokens")
        prices = [given, _dollars(entry.get("output_cost_per_token"))]
        prices.append(_dollars(entry.get("cache_read_input_token_cost")))
        whole = name if name.startswith(f"{provider}/") else f"{provider}/{name}"
        yield whole, [*prices, context if isinstance(context, int) else None]


def _dollars(per_token: Any) -> float | None:
    """Dollars a million tokens: 2.5e-06 is 2.5, without what binary fractions add."""
    if not isinstance(per_token, int | float):
        return None
    amount = float(f"{per_token * 1e6:.8g}")
    return int(amount) if amount == int(amount) else amount


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
