"""Where vLLM is: in the environment that `make vllm-env` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[2] / "build" / "vllm-env" / "bin" / "python"

needs_vllm = pytest.mark.skipif(
    not (PYTHON.parents[1] / "ready").exists(),
    reason="there is no build/vllm-env: `make vllm-env` makes it (3.5 GB)",
)
