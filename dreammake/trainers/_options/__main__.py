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

ONLINE = (
    # vLLM beside the trainer and transformers' continuous batching, tools and pictures, tables for a screen.
    r"use_vllm|vllm_.*|use_transformers_.*|transformers_continuous_.*|ds3_.*|max_tool_calling_iterations"
    r"|log_completions.*|log_multimodal|log_unique_prompts|num_completions_to_print|torch_compile.*"
    # Their own loss and order of the rows do not read these.
    r"|label_smoothing_factor|neftune_.*|use_cache|train_sampling_strategy|average_tokens_across_devices"
)
"""Options of GRPO and RLOO that do nothing there, or need what a Dreamfile does not give them."""

OF_OTHER_EMBEDDERS = (
    r"multi_dataset_.*|router_mapping|warmup_ratio|label_smoothing_factor|neftune_.*|use_cache|data_seed"
    r"|train_sampling_strategy"
)
"""Several datasets, a deprecated name, and what the loop of Sentence Transformers does not do."""

NOT_FOR = {
    "grpo": re.compile(ONLINE),
    "rloo": re.compile(ONLINE),
    # The loss, the dropout and the batches are PPO's own.
    "ppo": re.compile(
        r"label_smoothing_factor|neftune_.*|use_cache|torch_compile.*|train_sampling_strategy"
        r"|average_tokens_across_devices"
    ),
    # It only warns that it does nothing at present.
    "dpo": re.compile(r"padding_free"),
    # They are for encoder-decoder models, and for services that draw charts.
    "orpo": re.compile(r"is_encoder_decoder|max_completion_length|generate_during_eval"),
    "embedder": re.compile(OF_OTHER_EMBEDDERS),
    # It is measured in the end, and makes its pairs itself.
    "setfit": re.compile(rf"{OF_OTHER_EMBEDDERS}|.*eval.*|.*best_model.*|greater_is_better|prompts|batch_sampler"),
}
"""And those of one method alone."""

CHOICES = {
    "f_divergence_type": ["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"],
}
"""What an option takes where TRL declares any text, and refuses others in the middle of a training."""


def options_of(config: type, without: re.Pattern[str]) -> list[dict[str, Any]]:
    """The fields of a config dataclass as rows, in the order of its declaration."""
    hints = typing.get_type_hints(config)
    return [
        row_of(field, hints[field.name]) for field in dataclasses.fields(config) if not without.fullmatch(field.name)
    ]


def left_out(method: str) -> re.Pattern[str]:
    """The options of a method's config that a Dreamfile does not have."""
    own = NOT_FOR.get(method)
    return re.compile(f"{SET_BY_DREAMMAKE.pattern}|{own.pattern}") if own else SET_BY_DREAMMAKE


def row_of(field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    kinds, choices = kinds_of(hint)
    choices = choices or field.metadata.get("choices") or CHOICES.get(field.name, [])
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
    kind = {
        type(None): "null",
        bool: "bool",
        int: "int",
        float: "float",
        str: "str",
        list: "list",
        tuple: "list",
        dict: "dict",
    }
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
    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import TrainingArguments
    from trl import DPOConfig, GRPOConfig, KTOConfig, RewardConfig, RLOOConfig, SFTConfig
    from trl.experimental.orpo import ORPOConfig

    configs = {"sft": SFTConfig, "dpo": DPOConfig, "kto": KTOConfig, "orpo": ORPOConfig, "reward": RewardConfig}
    configs |= {"classifier": TrainingArguments, "embedder": SentenceTransformerTrainingArguments}
    configs |= {"setfit": SentenceTransformerTrainingArguments}
    configs |= {"grpo": GRPOConfig, "rloo": RLOOConfig, "ppo": TrainingArguments}
    made = {"lora": ("peft", options_of(LoraConfig, NOT_FOR_LORA))} | {
        method: (library_of(config), options_of(config, left_out(method))) for method, config in configs.items()
    }
    return {
        f"{name}.json": json.dumps({"from": f"{library} {version(library)}", "options": rows}, indent=1) + "\n"
        for name, (library, rows) in made.items()
    }


def library_of(config: type) -> str:
    return config.__module__.partition(".")[0].replace("_", "-")


if __name__ == "__main__":
    for file, text in contents().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
