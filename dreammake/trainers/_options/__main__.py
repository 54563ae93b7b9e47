"""Writes the JSON files of this package from the installed TRL and PEFT: `python -m dreammake.trainers._options`."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from enum import Enum
from importlib.metadata import version
from typing import Any

from dreammake.trainers._options import FOLDER

SET_BY_DREAMMAKE = re.compile(
    # Where the result goes, and what is sent away: `publish` does that.
    r"output_dir|push_to_hub|hub_.*|resume_from_checkpoint|do_.*|run_name|project|trackio_.*|enable_jit_checkpoint"
    # Several processes: `resources: gpus: N`.
    r"|local_rank|ddp_.*|fsdp.*|deepspeed|parallelism_config|accelerator_config|.*_on_each_node|log_level.*"
    # The shape of the data that dreammake prepares, and what it does with checkpoints.
    r"|dataset_.*|remove_unused_columns|label_names|length_column_name|include_.*|prediction_loss_only|batch_eval_metrics"
    r"|eval_do_concat_batches|eval_use_gather_object|chat_template_path|ignore_data_skip|save_only_model"
    r"|restore_callback_states_from_checkpoint|disable_tqdm|debug|auto_find_batch_size"
    # Deprecated names of other options.
    r"|gradient_checkpointing_kwargs|pad_token|use_liger_kernel|liger_kernel_config"
)
"""Options of TRL that a Dreamfile does not have."""

NO_RESULT = re.compile(
    r"logging_.*|report_to|dataloader_(?!drop_last).*|save_.*|use_cpu|skip_memory_metrics|eval_accumulation_steps"
    r"|torch_empty_cache_steps|gradient_checkpointing|activation_checkpointing.*|activation_offloading"
)
"""Options that cannot change the model: logs, devices, memory."""

NOT_FOR_LORA = re.compile(
    r"task_type|peft_type|auto_mapping|peft_version|base_model_name_or_path|revision|inference_mode|runtime_config"
    r"|.*_config|megatron_core|use_bdlora"
)


def options_of(config: type, left_out: re.Pattern[str]) -> list[dict[str, Any]]:
    """The fields of a config dataclass as rows, in the order of its declaration."""
    hints = typing.get_type_hints(config)
    return [
        row_of(field, hints[field.name]) for field in dataclasses.fields(config) if not left_out.fullmatch(field.name)
    ]


def row_of(field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    kinds, choices = kinds_of(hint)
    if choices and not any("[" in choice for choice in choices):
        kinds = [kind for kind in kinds if kind != "str"]
    elif choices:
        kinds, choices = [*kinds, "str"], []
    row = {"name": field.name, "kinds": sorted(set(kinds)), "choices": choices, "default": default_of(field)}
    row |= {"doc": doc_of(field), "result": not NO_RESULT.fullmatch(field.name)}
    if row["default"] is None and "null" not in row["kinds"]:
        row["kinds"].append("null")
    return {key: value for key, value in row.items() if (key, value) not in (("choices", []), ("result", True))}


def kinds_of(hint: Any) -> tuple[list[str], list[str]]:
    """The kinds of value that a type takes, and the texts where it takes only some."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [kinds_of(argument) for argument in arguments]
        return [kind for kinds, _ in parts for kind in kinds], [choice for _, choices in parts for choice in choices]
    if origin is typing.Literal:
        return [], [str(argument) for argument in arguments]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [], [str(member.value) for member in hint]
    kind = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}
    return [kind[origin or hint]] if (origin or hint) in kind else [], []


def default_of(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    value = made.value if isinstance(made, Enum) else made
    return float(value) if field.type is float and value is not None else value


def doc_of(field: dataclasses.Field[Any]) -> str:
    text = " ".join(str(field.metadata.get("help") or "").split())
    return text.replace("%%", "%")


def contents() -> dict[str, str]:
    """The text of each file, by its name."""
    from peft import LoraConfig
    from trl import SFTConfig

    made = {
        "sft": ("trl", options_of(SFTConfig, SET_BY_DREAMMAKE)),
        "lora": ("peft", options_of(LoraConfig, NOT_FOR_LORA)),
    }
    return {
        f"{name}.json": json.dumps({"from": f"{library} {version(library)}", "options": rows}, indent=1) + "\n"
        for name, (library, rows) in made.items()
    }


if __name__ == "__main__":
    for file, text in contents().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
