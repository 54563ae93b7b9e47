"""What `show` says of a model folder."""

from __future__ import annotations

import json
from pathlib import Path

from dreammake.display.model_text import draw_model, model_facts


def test_the_training_of_an_adapter(tmp_path: Path) -> None:
    training = {"method": "sft", "base": "smollm2", "rows": 16, "steps": 60, "epochs": 3.0, "loss": 0.70312}
    training |= {"eval_loss": 0.91, "best_step": 40, "options": {"seed": 42}, "libraries": {"torch": "2.13.0"}}
    adapter = {"base_model_name_or_path": "base/small", "r": 8, "lora_alpha": 16, "target_modules": ["v", "q"]}
    (tmp_path / "training.json").write_text(json.dumps(training))
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"0" * 2000)
    drawn = draw_model(model_facts("models/m", tmp_path)).splitlines()
    assert drawn[:-3] == [
        "models/m: adapter",
        "  method     sft",
        "  base       base/small",
        "  rows       16",
        "  steps      60",
        "  epochs     3",
        "  loss       0.7031",
        "  eval loss  0.91",
        "  best step  40",
        "  lora       r 8, lora_alpha 16, target_modules q, v",
    ]
    assert drawn[-2] == "       2 kB  adapter_model.safetensors"


def test_a_folder_that_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1")
    assert draw_model(model_facts("models/m", tmp_path)) == "models/m: folder\n        1 B  weights"


def test_a_whole_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    assert draw_model(model_facts("models/m", tmp_path)).startswith("models/m: model, LlamaForCausalLM\n")
