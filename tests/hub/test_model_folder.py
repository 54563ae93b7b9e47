"""Model folders as they are published: what their files tell, and which of them go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.secrets import Secrets
from dreammake.hub import model_folder
from dreammake.hub.model_folder import model_contents, model_facts
from dreammake.hub.parquet import DataFile

ADAPTER = {"base_model_name_or_path": "/home/me/base", "task_type": "CAUSAL_LM"}


def folder_of(folder: Path, **files: Any) -> Path:
    """A folder with JSON files; `__` in a name is a dot."""
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(json.dumps(value) if not isinstance(value, str) else value)
    return folder


@pytest.mark.parametrize(
    ("files", "facts"),
    [
        ({"config__json": {"architectures": ["LlamaForCausalLM"]}}, ("model", "transformers", "text-generation")),
        (
            {"config__json": {"architectures": ["T5ForConditionalGeneration"]}},
            ("model", "transformers", "text2text-generation"),
        ),
        (
            {"config__json": {"architectures": ["BertForSequenceClassification"]}},
            ("model", "transformers", "text-classification"),
        ),
        ({"adapter_config__json": ADAPTER}, ("adapter", "peft", "text-generation")),
        ({"adapter_config__json": {"task_type": "SEQ_CLS"}}, ("adapter", "peft", "text-classification")),
        ({"config__json": {}, "modules__json": []}, ("model", "sentence-transformers", "sentence-similarity")),
        ({"modules__json": [], "config_setfit__json": {}}, ("model", "setfit", "text-classification")),
        ({"config__json": {"architectures": ["Odd"]}}, ("model", "transformers", "feature-extraction")),
    ],
)
def test_what_a_model_is_for(tmp_path: Path, files: dict[str, Any], facts: tuple[str, ...]) -> None:
    found = model_facts("models/m", folder_of(tmp_path, **files), None, [])
    assert (found.form, found.library, found.task) == facts


def test_what_was_measured(tmp_path: Path) -> None:
    training = {"eval_loss": 1.5, "eval_accuracy": 1, "loss": 3.0, "eval_strategy": "steps", "base": "/home/me/base"}
    found = model_facts("models/m", folder_of(tmp_path, training__json=training), None, [])
    assert found.metrics == {"loss": 1.5, "accuracy": 1.0}
    assert found.training["base"] == "…/base"


def test_an_adapter_names_its_base_on_the_hub(tmp_path: Path) -> None:
    folder_of(tmp_path, adapter_config__json=ADAPTER)
    (content,) = model_contents(tmp_path, "me/base")
    assert isinstance(content.data, bytes)
    assert json.loads(content.data) == ADAPTER | {"base_model_name_or_path": "me/base"}
    folder_of(tmp_path, adapter_config__json=ADAPTER | {"base_model_name_or_path": "me/base"})
    (content,) = model_contents(tmp_path, "me/base")
    assert isinstance(content.data, DataFile)


def test_what_only_the_training_reads_stays_here(tmp_path: Path) -> None:
    sent = ["config__json", "model__safetensors", "tokenizer__json", "loss__svg"]
    kept = ["README__md", "dreammake__json", "training_args__bin", "optimizer__pt", "rng_state_0__pth", "__hidden"]
    folder_of(tmp_path, **dict.fromkeys([*sent, *kept], "x"))
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-10" / "config.json").write_text("{}")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    names = {content.name for content in model_contents(tmp_path, None)}
    assert names == {name.replace("__", ".") for name in sent} | {"1_Pooling/config.json"}


def test_no_text_tells_a_secret_or_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets()
    secrets.add("key-of-the-teacher", "env(KEY)")
    monkeypatch.setattr(model_folder, "SECRETS", secrets)
    training = {"base": "/home/me/base", "options": {"prompt": "say key-of-the-teacher", "files": ["/home/me/x.py"]}}
    log = '{"loss": 1, "note": "key-of-the-teacher"}\n'
    folder_of(tmp_path, training__json=training, training_log__jsonl=log)
    sent = {content.name: content.data for content in model_contents(tmp_path, None)}
    assert all(isinstance(data, bytes) and b"key-of" not in data and b"/home" not in data for data in sent.values())
    assert json.loads(sent["training.json"])["options"]["prompt"] == "say env(KEY)"  # type: ignore[arg-type]
