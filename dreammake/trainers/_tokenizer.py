"""The tokenizer of a base model: it opens, it can fill up short texts, and it gives no token that the model lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dreammake.core.diagnostic import fail

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, Trainer

_TOKENS = re.compile(r"(?:.*_)?(?:input|prompt|chosen|rejected|completion)_ids")
"""The columns of a prepared dataset that hold tokens."""
OUT_OF_RANGE = "index out of range in self"
"""All that torch says on a CPU of a token that the model does not have."""


def open_tokenizer(base: str | Path, known: Mapping[str, Any], shown: str) -> PreTrainedTokenizerBase:
    """It pads with its end token where it has none to pad with. Raises DreamError where the base has none to open."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base, **known)
    except Exception as error:  # a file that is no tokenizer raises whatever the reader of it stumbles over
        first = next(iter(str(error).strip().splitlines()), "").replace(str(base), shown).strip(" .")
        why = f": {first}" if " " in first and not first.endswith(":") else ""
        fail(
            "wrong-tokenizer",
            f"the tokenizer of {shown} cannot be opened{why}",
            hint="copy the files of the tokenizer that the model was trained with into its folder: tokenizer.json, "
            "tokenizer_config.json",
            exit_code=1,
        )
    _pads(tokenizer)
    return tokenizer


def need_padding(tokenizer: PreTrainedTokenizerBase, base: str) -> None:
    """The tokenizer can fill up short texts, with its end token if need be. Raises DreamError where it has neither."""
    if not _pads(tokenizer):
        fail(
            "no-pad-token",
            f"the tokenizer of {base} has neither a padding token nor an end token",
            hint="name one in the base's tokenizer_config.json: `pad_token`",
            exit_code=1,
        )


def _pads(tokenizer: PreTrainedTokenizerBase) -> bool:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer.pad_token is not None


def check_tokens(trainer: Trainer, shown: str) -> None:
    """Raises DreamError where an example holds a token that the model does not have.

    A tokenizer may have more tokens than its model, as that of Gemma 3 has: what counts is which ones are used.
    """
    embeddings = getattr(trainer.model, "get_input_embeddings", lambda: None)()
    if embeddings is None:
        return
    known = int(embeddings.weight.shape[0])
    highest = max(
        (_highest(dataset) for dataset in (trainer.train_dataset, trainer.eval_dataset) if dataset), default=0
    )
    if highest >= known:
        fail_of_tokens(shown, f": token {highest:,}, and it has {known:,}")


def fail_of_tokens(shown: str, which: str = "") -> NoReturn:
    fail(
        "wrong-tokenizer",
        f"the tokenizer of {shown} writes the texts in tokens that the model does not have{which}",
        hint="put the tokenizer that the model was trained with into its folder",
        exit_code=1,
    )


def _highest(dataset: Dataset) -> int:
    import pyarrow.compute as pc

    columns = (dataset.data.column(name) for name in dataset.column_names if _TOKENS.fullmatch(name))
    return max((pc.max(pc.list_flatten(column)).as_py() or 0 for column in columns), default=0)
