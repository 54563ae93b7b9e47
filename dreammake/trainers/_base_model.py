"""The model that training starts from: a folder or a hub name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dreammake.core.diagnostic import fail, first_line
from dreammake.core.embedded import base_folder, base_named_by
from dreammake.core.spelling import nearest
from dreammake.trainers import _adapter
from dreammake.trainers._tokenizer import open_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Head = Literal["text", "answer", "score"]
"""What a model gives: the next token; a text for one that an encoder read; or one number for a whole text."""


def is_adapter(base: str | Path) -> bool:
    """Whether a folder holds a PEFT adapter in place of a whole model."""
    return (Path(base) / "adapter_config.json").is_file()


def open_base(
    base: str | Path, dtype: str, options: Mapping[str, Any], shown: str, *, head: Head = "text"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and its tokenizer, which can pad. An adapter is merged into its own base.

    `options` are more arguments of `from_pretrained`; `shown` is what the Dreamfile calls the base. Raises DreamError
    where nothing of that name can be opened.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

    known = {name: options[name] for name in ("revision", "trust_remote_code") if name in options}
    if is_adapter(base):
        tokenizer = open_tokenizer(base, known, shown)
        with opening(base, shown):
            whole, _ = open_base(
                _base_of(base), dtype, options, f"{base_named_by(base)}, on which {shown} is,", head=head
            )
            return _adapter.merged(whole, base), tokenizer
    config = _config_of(base, known, shown)
    tokenizer = open_tokenizer(base, known, shown)
    if head == "text" and config.is_encoder_decoder:
        fail(
            "no-causal-model",
            f"the base model {shown} reads with an encoder, and this method trains models that only continue text",
            hint="choose a causal base model, as most of today's are",
            exit_code=1,
        )
    with opening(base, shown):
        if head == "score":
            kind = AutoModelForSequenceClassification
            model = kind.from_pretrained(base, dtype=dtype, **{"num_labels": 1, **options})
            model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
            return model, tokenizer
        writer = AutoModelForSeq2SeqLM if head == "answer" else AutoModelForCausalLM
        return writer.from_pretrained(base, dtype=dtype, **options), tokenizer


def labels_of(base: str | Path, known: Mapping[str, Any], shown: str) -> tuple[str, ...]:
    """The labels of a base that is a classifier already, in the order of their ids; none where it is not.

    Raises DreamError where nothing of that name can be opened.
    """
    config = _config_of(base, known, shown)
    if not any(kind.endswith("ForSequenceClassification") for kind in config.architectures or ()):
        return ()
    return tuple(config.id2label[place] for place in sorted(config.id2label))


def has_encoder(base: str | Path, known: Mapping[str, Any], shown: str) -> bool:
    """Whether a base reads with an encoder and answers with a decoder, as T5 does. Raises DreamError as `labels_of`."""
    if is_adapter(base):
        return bool(json.loads((Path(base) / "adapter_config.json").read_text("utf-8"))["task_type"] == "SEQ_2_SEQ_LM")
    return bool(_config_of(base, known, shown).is_encoder_decoder)


def _config_of(base: str | Path, known: Mapping[str, Any], shown: str) -> Any:
    from transformers import AutoConfig

    with opening(base, shown):
        return AutoConfig.from_pretrained(_base_of(base) if is_adapter(base) else base, **known)


def _base_of(adapter: str | Path) -> str | Path:
    """The base that an adapter folder names. The embedded model is where this user's cache has it."""
    return base_folder(base_named_by(adapter) or "", print)


@contextmanager
def opening(base: str | Path, shown: str) -> Iterator[None]:
    """Raises DreamError where the base, which the Dreamfile calls `shown`, cannot be opened."""
    try:
        yield
    except (OSError, ValueError) as error:
        first = first_line(error).replace(str(base), shown)
        fail(
            "no-such-model",
            f"the base model {shown} cannot be opened: {first}",
            hint=_folder_nearby(base)
            or '`base` is a model folder, a name on the Hugging Face Hub, or "smollm2", the embedded model',
            exit_code=1,
        )


def _folder_nearby(base: str | Path) -> str | None:
    """The hint for the name of a folder that is misspelt."""
    place = Path(base)
    if place.exists() or not place.parent.is_dir():
        return None
    near = nearest(place.name, (folder.name for folder in place.parent.iterdir() if folder.is_dir()))
    return None if near is None else f"did you mean `{place.parent / near}`?"
