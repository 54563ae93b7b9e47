"""A real model that trains in seconds: the first four layers of SmolLM2-135M-Instruct, with its tokenizer."""

from __future__ import annotations

from pathlib import Path


def small_model() -> Path:
    """Its Hugging Face folder, made once a machine in the user's cache."""
    from dreammake.core.embedded import converted_once

    return converted_once("smollm2-4-layers-float32", print, num_hidden_layers=4)
