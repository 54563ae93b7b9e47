"""Supervised fine-tuning of models that read with an encoder and answer with a decoder, such as T5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.trainer import Training
from dreammake.trainers import _trl
from dreammake.trainers._tokenizer import need_padding
from dreammake.trainers._tuning import Start

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

_OF_CAUSAL_MODELS = (
    "packing",
    "eval_packing",
    "packing_strategy",
    "padding_free",
    "pad_to_multiple_of",
    "completion_only_loss",
    "assistant_only_loss",
    "truncation_mode",
    "shuffle_dataset",
    "loss_type",
    "eos_token",
    "router_aux_loss_coef",
    "activation_offloading",
)
"""Options of TRL's SFTConfig that mean nothing here."""


def check_options(options: Any) -> None:
    """Raises DreamError for what only a causal model can do."""
    declared = type(options).declared()
    for name in ("messages", "text", *_OF_CAUSAL_MODELS):
        if options[name] != declared[name].default:
            shape = name in ("messages", "text")
            fail(
                "no-causal-model",
                f"`{name}` is for models that continue a text, and the base {options.base} answers one that it read",
                hint="say `prompt` and `completion`" if shape else f"leave `{name}` out, or choose a causal base model",
                exit_code=1,
            )


def trainer_of(start: Start, train: Dataset, eval_: Dataset | None, options: Any, training: Training) -> Trainer:
    """A trainer on rows of `prompt` and `completion`; each is cut to `max_length` tokens. Raises DreamError."""
    from peft import get_peft_model
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

    tokenizer, lora = start.tokenizer, start.lora
    need_padding(tokenizer, options.base)
    config = _trl.config_of(Seq2SeqTrainingArguments, "sft", options, training)

    def encoded(dataset: Dataset) -> Dataset:
        cut = {"truncation": options["max_length"] is not None, "max_length": options["max_length"]}
        read = tokenizer(list(dataset["prompt"]), **cut)
        answers = tokenizer(text_target=list(dataset["completion"]), **cut)
        columns = {name: read[name] for name in ("input_ids", "attention_mask")}
        return type(dataset).from_dict({**columns, "labels": answers["input_ids"]})

    # Else transformers takes the loss for one that is a sum over all processes and accumulated batches: it is a mean.
    start.model.accepts_loss_kwargs = False
    model = start.model if lora is None else _trl.checked(lambda: get_peft_model(start.model, lora))
    return _trl.checked(
        lambda: Seq2SeqTrainer(
            model=model,
            args=config,
            train_dataset=encoded(train),
            eval_dataset=None if eval_ is None else encoded(eval_),
            processing_class=tokenizer,
            data_collator=DataCollatorForSeq2Seq(tokenizer, model),
        )
    )
