"""A model folder as it is published: which of its files go, and what they tell of the model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dreammake.core.secrets import SECRETS
from dreammake.hub.card import ModelFacts
from dreammake.hub.parquet import data_file
from dreammake.hub.repository import Content
from dreammake.plan.shown import shown

ADAPTER = "adapter_config.json"
TRAINING = "training.json"
_NOT_SENT = re.compile(
    r"README\.md|dreammake\.json|errors\.jsonl|training_args\.bin|(optimizer|scheduler|rng_state|scaler).*\.(pt|pth|bin)"
    r"|\..*|.*/\..*|checkpoint-.*/.*"
)
"""The card, which is written anew, and what only the training itself reads."""
_TEXTS = (".json", ".jsonl", ".txt", ".jinja", ".md", ".yaml")
_TASKS = {
    "ForCausalLM": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask",
    "CAUSAL_LM": "text-generation",
    "SEQ_2_SEQ_LM": "text2text-generation",
    "SEQ_CLS": "text-classification",
    "TOKEN_CLS": "token-classification",
    "FEATURE_EXTRACTION": "feature-extraction",
}
"""What a model is for, by the end of its class's name or by PEFT's word."""


def model_facts(target: str, folder: Path, base: str | None, examples: Sequence[str]) -> ModelFacts:
    """What the files of a folder tell. `base` is the name of its base on the Hub, `examples` are prompts for it."""
    adapter, config = _json(folder / ADAPTER), _json(folder / "config.json")
    form: Literal["adapter", "model"] = "adapter" if adapter else "model"
    library, task = "peft" if adapter else "transformers", _task(adapter or config)
    if (folder / "config_setfit.json").is_file():
        library, task = "setfit", "text-classification"
    elif (folder / "modules.json").is_file():
        library, task = "sentence-transformers", "sentence-similarity"
    chat = (folder / "chat_template.jinja").is_file() or "chat_template" in _json(folder / "tokenizer_config.json")
    training = SECRETS.hide_in(_without_places(_json(folder / TRAINING)))
    return ModelFacts(target, form, library, task, base, training, chat, tuple(map(SECRETS.hide, examples)))


def model_contents(folder: Path, base: str | None) -> list[Content]:
    """The files to send. An adapter names `base` as its base; no text tells a secret."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or _NOT_SENT.fullmatch(name):
            continue
        changed = _changed_text(path, name, base) if name.endswith(_TEXTS) else None
        found.append(Content(name, data_file(name, path) if changed is None else changed.encode()))
    return found


def _changed_text(path: Path, name: str, base: str | None) -> str | None:
    """The text as it is sent, where that is not how it lies there."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    sent = SECRETS.hide(text)
    if name == ADAPTER and base is not None:
        config = json.loads(sent)
        if config.get("base_model_name_or_path") != base:
            sent = json.dumps(config | {"base_model_name_or_path": base}, indent=2, sort_keys=True) + "\n"
    if name == TRAINING and (told := _json(path)) != (public := _without_places(told)):
        sent = SECRETS.hide(json.dumps(public, indent=2) + "\n")
    return None if sent == text else sent


def _without_places(value: Any) -> Any:
    """A JSON value without the places of files and folders of this machine."""
    match value:
        case dict():
            return {name: _without_places(item) for name, item in value.items()}
        case list():
            return [_without_places(item) for item in value]
    return shown(value)


def _task(config: Mapping[str, Any]) -> str:
    words = [str(config.get("task_type") or ""), *map(str, config.get("architectures") or ())]
    return next((task for end, task in _TASKS.items() for word in words if word.endswith(end)), "feature-extraction")


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
