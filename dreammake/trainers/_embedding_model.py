"""Embedding models of Sentence Transformers: opened, trained, and written so that they open again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.embedded import EMBEDDED, HUB_NAME, base_folder
from dreammake.core.spelling import did_you_mean
from dreammake.core.trainer import Training
from dreammake.trainers import _adapter, _base_model, _model_folder, _trl
from dreammake.trainers._reader_options import known_to_base
from dreammake.trainers._tokenizer import need_padding

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer

LIBRARIES = ("torch", "transformers", "sentence-transformers", "peft")
PACKAGES = ("torch", "transformers", "sentence_transformers", "peft", "datasets", "accelerate")


def open_model(options: Any, training: Training) -> SentenceTransformer:
    """The base, on the device that trains, with a new adapter where `peft` says so. A model that was not made for
    embeddings gets mean pooling. Raises DreamError where it cannot be opened."""
    from sentence_transformers import SentenceTransformer
    from transformers import set_seed

    base = base_folder(training.base, training.say)
    set_seed(options["seed"])
    with _base_model.opening(base, str(options.base)):
        model = SentenceTransformer(
            str(base),
            device="cpu" if _trl.uses_cpu(options) else None,
            model_kwargs={"dtype": options.dtype},
            **known_to_base(options),
        )
    if _base_model.is_adapter(base):
        _merge(model)
    need_padding(model.tokenizer, options.base)
    if options.max_seq_length is not None:
        model.max_seq_length = options.max_seq_length
    lora = _trl.lora_config(options.values.get("peft"), "FEATURE_EXTRACTION")
    if lora is not None:
        if _base_model.is_adapter(base) and not options.merge:
            fail(
                "adapter-base",
                f"the base model {options.base} is an adapter, and an adapter cannot be the base of another one",
                hint="say `merge: True` where the base is trained, or here",
                exit_code=1,
            )
        _adapter.check_modules(model.transformers_model, lora)
        model.add_adapter(lora)
    return model


def loss_of(name: str, model: SentenceTransformer, arguments: dict[str, Any]) -> Any:
    """One of the losses of Sentence Transformers. Raises DreamError where it has no such argument."""
    import inspect

    from sentence_transformers.sentence_transformer import losses

    kind = getattr(losses, name)
    known = list(inspect.signature(kind).parameters)[1:]
    for argument in arguments:
        if argument not in known:
            fail(
                "unknown-argument",
                f"{name} has no argument `{argument}`",
                hint=did_you_mean(argument, known),
                exit_code=1,
            )
    return _trl.checked(lambda: kind(model, **arguments))


def trainer_of(
    model: SentenceTransformer,
    options: Any,
    training: Training,
    train: Dataset,
    loss: Any,
    *,
    method: str = "embedder",
    eval_: Dataset | None = None,
    evaluator: Any = None,
    **changes: Any,
) -> SentenceTransformerTrainer:
    """A trainer by the options; `changes` are fields of its arguments in their place."""
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    class WithoutCard(SentenceTransformerTrainer):
        """`publish` writes the card. That of the library asks the Hub about the data, and tells when it was made."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            pass

    args = _trl.config_of(SentenceTransformerTrainingArguments, method, options, training, **changes)
    return _trl.checked(
        lambda: WithoutCard(
            model=model, args=args, train_dataset=train, eval_dataset=eval_, loss=loss, evaluator=evaluator
        )
    )


def save(model: SentenceTransformer, options: Any, training: Training) -> None:
    """Write the model, or its adapter: equal models give equal bytes."""
    folder = training.folder
    if options.values.get("peft") is not None and options.merge:
        _merge(model)
    model.save_pretrained(str(folder), create_model_card=False)
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        _model_folder.name_base(adapter, HUB_NAME if training.base == EMBEDDED else str(options.base))
    for weights in Path(folder).rglob("*.safetensors"):
        weights.chmod(0o644)  # safetensors writes for the owner only


def _merge(model: SentenceTransformer) -> None:
    """Put the adapter into the weights. Transformers adds adapters to a model by itself, and cannot merge them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    inner: Any = model.transformers_model
    for name, layer in list(inner.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(inner.get_submodule(parent), child, layer.get_base_layer())
    inner._hf_peft_config_loaded = False
    del inner.peft_config
