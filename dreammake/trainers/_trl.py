"""What the methods that TRL trains have in common: the config, the run with its progress and checkpoints, the files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.options import OptionSet
from dreammake.core.trainer import Training
from dreammake.core.values import Function, to_json
from dreammake.trainers._options import generated

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback
    from trl import SFTConfig

_COMPLETE = "complete"
"""An empty file in a checkpoint that was written to its end."""

_OF_THE_RUN = re.compile(r".*(runtime|per_second)|total_flos|(eval_)?num_tokens|train_loss")
"""Measures that depend on the clock, or on where an interrupted training went on: they are in no file of the model."""


def need(*packages: str) -> None:
    """Raises DreamError where a package that training needs is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        fail(
            "missing-package",
            f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint="pip install 'dreammake-llm[train]'",
            exit_code=1,
        )


def config_of(kind: Callable[..., SFTConfig], method: str, options: OptionSet, training: Training) -> SFTConfig:
    """TRL's config: the options by their names, and what dreammake decides itself."""
    import torch

    on_cpu = options["use_cpu"] or not torch.accelerator.is_available()
    fields = {name: options[name] for name in generated(method)}
    fields |= {
        "output_dir": str(training.checkpoints),
        "eval_strategy": options["eval_strategy"] or ("no" if training.eval is None else "epoch"),
        "use_cpu": on_cpu,
        "dataloader_pin_memory": options["dataloader_pin_memory"] and not on_cpu,
        "disable_tqdm": True,
        "model_init_kwargs": None,
    }
    return checked(lambda: kind(**fields))


def checked(make: Callable[[], Any]) -> Any:
    """What `make` makes; a refusal of the library (options that exclude each other, say) becomes a DreamError."""
    try:
        return make()
    except (ValueError, ImportError) as error:
        message = " ".join(str(error).split()).rstrip(".")
        fail("refused-options", f"the training library refuses these options: {message}", exit_code=1)


def lora_config(call: Function | None) -> LoraConfig | None:
    """PEFT's config of `lora(...)` for a causal model."""
    if call is None:
        return None
    from peft import LoraConfig

    return checked(lambda: LoraConfig(**call.kwargs, task_type="CAUSAL_LM"))


def run(trainer: Trainer, training: Training) -> dict[str, float]:
    """Train, from the last complete checkpoint if there is one. Returns the measures of the whole run."""
    trainer.add_callback(_callback(training))
    begun = _last_checkpoint(training.checkpoints)
    if begun is not None:
        training.say(f"going on from {begun.name}")
    output = trainer.train(resume_from_checkpoint=str(begun) if begun else None)
    log = trainer.state.log_history
    measures = {"steps": trainer.state.global_step, "epochs": trainer.state.epoch}
    measures["loss"] = _mean_loss(log) if any("loss" in entry for entry in log) else output.training_loss
    measured = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    return measures | ({"eval_loss": measured[-1]} if measured else {})


def _mean_loss(log: list[dict[str, float]]) -> float:
    """Over all logged steps. TRL's own counts only those since the last interruption."""
    total, before = 0.0, 0.0
    for entry in log:
        if "loss" in entry:
            total += entry["loss"] * (entry["step"] - before)
            before = entry["step"]
    return total / before


def _callback(training: Training) -> TrainerCallback:
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        """Tells how far the training is, and marks checkpoints as complete."""

        measures: dict[str, float] = {}

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            self.measures = {key: value for key, value in (logs or {}).items() if key in ("loss", "eval_loss")}

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            training.progress(state.global_step, state.max_steps, epoch=state.epoch, **self.measures)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE).touch()

    return Report()


def _last_checkpoint(folder: Path) -> Path | None:
    complete = [file.parent for file in folder.glob(f"checkpoint-*/{_COMPLETE}")]
    return max(complete, key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]), default=None)


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
    model.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if isinstance(model, PeftModel):
        _name_base(folder / "adapter_config.json", base_name)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's card: `publish` writes a better one
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # safetensors writes for the owner only


def _name_base(file: Path, base_name: str) -> None:
    """Writes the base as the Dreamfile names it, and sets in order: PEFT lists them as Python's hashing has them."""
    config = json.loads(file.read_text(encoding="utf-8")) | {"base_model_name_or_path": base_name}
    for name in ("target_modules", "exclude_modules"):
        if isinstance(config[name], list):
            config[name].sort()
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def save_log(trainer: Trainer, folder: Path, method: str, options: OptionSet, facts: Mapping[str, Any]) -> None:
    """Write `training_log.jsonl` (measures, a line a log step) and `training.json` (facts, the resolved options)."""
    from importlib.metadata import version

    kept = (
        {key: value for key, value in entry.items() if not _OF_THE_RUN.fullmatch(key)}
        for entry in trainer.state.log_history
        if "train_runtime" not in entry
    )
    lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in kept)
    (folder / "training_log.jsonl").write_text(lines, encoding="utf-8")
    declared = type(options).declared()
    resolved = {name: to_json(options[name]) for name, option in declared.items() if option.result}
    libraries = {name: version(name).partition("+")[0] for name in ("torch", "transformers", "trl", "peft")}
    document = {"method": method, **facts, "options": resolved, "libraries": libraries}
    (folder / "training.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
