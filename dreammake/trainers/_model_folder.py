"""What a method leaves in the model folder: the weights, the log and the facts. Equal trainings give equal bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.judgement import told
from dreammake.core.options import OptionSet
from dreammake.core.secrets import SECRETS
from dreammake.core.values import to_json
from dreammake.trainers import _curves

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

_OF_THE_RUN = re.compile(r".*(runtime|per_second|step_time)|total_flos|(eval_)?num_tokens|train_loss")
"""Measures that depend on the clock, or on where an interrupted training went on: they are in no file of the model."""

LIBRARIES = ("torch", "transformers", "trl", "peft")
"""Those whose versions most methods name."""


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, base_name: str, *, merge: bool
) -> None:
    """Write the model, or its adapter, so that `from_pretrained` opens the folder: equal models give equal bytes.

    `base_name` is what an adapter calls its base model.
    """
    from peft import PeftModel

    if isinstance(model, PeftModel) and merge:
        model = model.merge_and_unload()
    model.config.use_cache = True
    # DPO on an earlier adapter has a second one, its reference, which is not saved.
    model.save_pretrained(folder, **({"selected_adapters": ["default"]} if isinstance(model, PeftModel) else {}))
    if getattr(model, "generation_config", None) is not None:  # models that write no text have none
        model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if isinstance(model, PeftModel):
        name_base(folder / "adapter_config.json", base_name)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's card: `publish` writes a better one
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # safetensors writes for the owner only


def name_base(file: Path, base_name: str) -> None:
    """Writes the base as the Dreamfile names it, and sets in order: PEFT lists them as Python's hashing has them."""
    config = json.loads(file.read_text(encoding="utf-8")) | {"base_model_name_or_path": base_name}
    for name in ("target_modules", "exclude_modules"):
        if isinstance(config[name], list):
            config[name].sort()
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def save_log(
    trainer: Trainer,
    folder: Path,
    method: str,
    options: OptionSet,
    facts: Mapping[str, Any],
    libraries: Sequence[str] = LIBRARIES,
) -> None:
    """Write the log of a trainer, without what the clock has in it, and the facts (`write_log`)."""
    kept = [
        {key: value for key, value in entry.items() if not _OF_THE_RUN.fullmatch(key)}
        for entry in trainer.state.log_history
        if "train_runtime" not in entry
    ]
    write_log(kept, folder, method, options, facts, libraries)


def write_log(
    kept: Sequence[Mapping[str, Any]],
    folder: Path,
    method: str,
    options: OptionSet,
    facts: Mapping[str, Any],
    libraries: Sequence[str],
) -> None:
    """Write `training_log.jsonl` (measures, a line a log step), `training_curves.svg` (the same to look at) and
    `training.json` (facts, the resolved options)."""
    from importlib.metadata import version

    lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in kept)
    (folder / "training_log.jsonl").write_text(lines, encoding="utf-8")
    if (picture := _curves.draw(kept)) is not None:
        (folder / "training_curves.svg").write_text(picture, encoding="utf-8")
    declared = type(options).declared()
    resolved = {name: to_json(told(options[name])) for name, option in declared.items() if option.result}
    versions = {name: version(name).partition("+")[0] for name in libraries}
    document = {"method": method, **facts, "options": SECRETS.hide_in(resolved), "libraries": versions}
    (folder / "training.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
