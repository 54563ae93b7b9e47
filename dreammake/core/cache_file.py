"""A prompt cache seen from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CacheFile:
    """One file. `size` is in bytes, `cost` in dollars, `used` in Unix time (0: nobody knows). `model` and `engine` are
    "" where the file does not say; `damaged`: it cannot be read, or was set aside as such."""

    path: Path
    model: str = ""
    engine: str = ""
    answers: int = 0
    size: int = 0
    tokens: int = 0
    cost: float = 0.0
    used: float = 0.0
    damaged: bool = False

    @property
    def name(self) -> str:
        return self.model or self.path.name


@dataclass(frozen=True, slots=True)
class Amount:
    """Some answers: how many, their bytes, what they cost in dollars."""

    answers: int = 0
    size: int = 0
    cost: float = 0.0
