"""What all tests share: one thread a worker, and nothing of the user's settings."""

from __future__ import annotations

import os

import pytest

# Before any library reads them: two threads a worker on two busy cores are slower than one by far.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

_OF_THE_USER = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN", "HF_ENDPOINT")


@pytest.fixture(autouse=True)
def _without_user_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _OF_THE_USER:
        monkeypatch.delenv(name, raising=False)
