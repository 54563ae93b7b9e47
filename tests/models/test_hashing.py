"""Vectors by words alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreammake.core.engine import EngineContext
from dreammake.core.values import ModelSpec
from dreammake.models.hashing import Hashing


def hashing(**options: int) -> Hashing:
    return Hashing(ModelSpec("words", "words", "hashing", options), EngineContext(Path))


def test_texts_are_alike_as_far_as_they_share_words() -> None:
    vectors = hashing().embed(["The sea is salt.", "salt the SEA is", "an otter sleeps", "the sea", "...", ""])
    likeness = vectors @ vectors.T
    assert likeness[0, 1] == pytest.approx(1)
    assert likeness[0, 2] == 0
    assert 0.6 < likeness[0, 3] < 0.8
    assert likeness.diagonal().tolist() == pytest.approx([1, 1, 1, 1, 0, 0], abs=1e-6)


def test_the_vectors_are_the_same_on_every_machine() -> None:
    sea, otter = hashing(dimensions=4).embed(["sea", "otter 🦦 é"]).tolist()
    assert sea == [0, 0, 0, -1]
    assert otter == pytest.approx([0, 0, 0.5**0.5, 0.5**0.5])
    assert hashing().embed([]).shape == (0, 256)
