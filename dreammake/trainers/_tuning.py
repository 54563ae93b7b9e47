"""What is trained and how it is kept: all weights or an adapter, in which number type, from which earlier adapter.

`open_start` opens what a training starts from, and `finish` trains and writes the model folder.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.embedded import EMBEDDED, HUB_NAME, base_folder
from dreammake.core.options import Bool, Choice, Int, OptionSet, Str, Wrong
from dreammake.core.options import Path as PathOption
from dreammake.core.trainer import Training
from dreammake.trainers import _adapter, _base_model, _loop, _model_folder, _quantized, _trl
from dreammake.trainers._base_model import Head
from dreammake.trainers._beforehand.base_facts import licence_fact
from dreammake.trainers._options import Field, Lora
from dreammake.trainers._processes import ranks

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

_TASKS = {"text": "CAUSAL_LM", "answer": "SEQ_2_SEQ_LM", "score": "SEQ_CLS"}


class Base(OptionSet):
    """The model to start from."""

    base = PathOption('The model to start from: a folder, a target, a name on the Hub, or "smollm2" (embedded).')


class Tuning(OptionSet):
    """What is trained, and what is saved."""

    peft = Lora(
        "Train an adapter in place of all weights: `lora(r=8)`, by the names of PEFT's LoraConfig.", default=None
    )
    merge = Bool("Put the trained adapter into the model's weights, so that the folder needs no base.", default=False)
    quantization = Choice(
        "Hold the base in fewer bits while an adapter on it learns (QLoRA), by bitsandbytes; needs `peft`.",
        *_quantized.KINDS,
        default=None,
    )
    dtype = Choice("Number type of the weights.", "float32", "bfloat16", "float16", "auto", default="float32")
    revision = Str("Branch, tag or commit of the base model on the Hub.", default=None)
    bf16 = Bool("Mixed precision in bfloat16, on devices that have it (TRL's own default is True).", default=False)
    eval_strategy = Field(
        'When the loss on the `eval` input is measured; None is "epoch" where there is such an input.',
        kinds=("null",),
        choices=("no", "steps", "epoch"),
        default=None,
    )
    save_total_limit = Int("How many checkpoints a running training keeps.", default=1, at_least=1, result=False)


class Rounds(OptionSet):
    """Training that goes on from an earlier round."""

    adapter = PathOption(
        "An adapter on `base` from an earlier training, a folder, a target or a name on the Hub, to start from. With "
        "`peft`, which has to be of the same shape, the adapter itself learns on, so that the result is again one on "
        "`base`; without, it goes into the weights first, and all of them learn. None is no adapter.",
        default=None,
    )


def check_tuning(method: str, options: OptionSet) -> None:
    """What does not go together, before anything runs. Raises Wrong."""
    if options["quantization"] is not None and options["peft"] is None:
        raise Wrong(
            f"`train {method}` has `quantization` and no `peft`: weights in so few bits cannot learn",
            "say `peft: lora()`, so that an adapter learns, or leave `quantization` out",
            "missing-option",
        )


@dataclass(frozen=True, slots=True)
class Start:
    """What a training starts from."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    base: str | Path
    """What `from_pretrained` opens."""
    name: str
    """What an adapter calls its base."""
    lora: LoraConfig | None
    """The new adapter that TRL is to put on the model; None: there is none, or it is on it already."""
    head: Head

    @property
    def has_chat(self) -> bool:
        return bool(self.tokenizer.chat_template)

    def reference(self, options: OptionSet) -> PreTrainedModel | None:
        """The model as it is now, frozen. None where TRL has it already: with an adapter, it is what that began as."""
        if self.lora is not None or _adapter.is_on(self.model):
            return None
        if options["precompute_ref_log_probs"] and not ranks.sharded():
            return None
        return copy.deepcopy(self.model).eval().requires_grad_(False)


def open_start(options: Any, training: Training, *, head: Head = "text") -> Start:
    """The base with what `adapter`, `peft` and `quantization` say of it. Equal seeds give equal new weights.

    Raises DreamError where something cannot be opened, or does not go with the rest.
    """
    from transformers import set_seed

    base = base_folder(training.base, training.say)
    name = HUB_NAME if training.base == EMBEDDED else str(options.base)
    lora = _trl.lora_config(options.peft, _TASKS[head])
    if lora is not None and not options.merge and _base_model.is_adapter(base):
        fail(
            "adapter-base",
            f"the base model {name} is an adapter, and an adapter cannot be the base of another one",
            hint="name its base as `base` and it as `adapter`, or say `merge: True` where it is trained, or here",
            exit_code=1,
        )
    set_seed(options["seed"])
    model, tokenizer = _open(base, options, head, options.quantization)
    if options.quantization is not None:
        model = _quantized.prepared(model, gradient_checkpointing=options["gradient_checkpointing"])
    if lora is not None:
        _adapter.check_modules(model, lora)
    if (shown := options.values.get("adapter")) is not None:
        adapter = training.path(shown) if training.path(shown).is_dir() else shown
        with _adapter.opening(shown, name):
            if lora is None:
                model = _adapter.merged(model, adapter)
            else:
                model, lora = _adapter.continued(model, adapter, lora, shown), None
    return Start(model, tokenizer, base, name, lora, head)


def finish(
    trainer: Trainer, start: Start, method: str, options: Any, training: Training, facts: Mapping[str, Any]
) -> None:
    """Train, and write the model, its log, and the `facts` about it."""
    measures = _loop.run(trainer, training, options)
    model = trainer.model
    if options.merge and options.quantization is not None:
        whole, _ = _open(start.base, options, start.head, None)
        model = _adapter.moved(model, whole)
    _model_folder.save_model(model, start.tokenizer, training.folder, start.name, merge=options.merge)
    of_base = {"base": options.base, **licence_fact(start.base)}
    _model_folder.save_log(trainer, training.folder, method, options, {**of_base, **facts, **measures})


def _open(
    base: str | Path, options: Any, head: Head, quantization: str | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    named = {"revision": options.revision} if options.revision else {}
    known = named | {"trust_remote_code": options["trust_remote_code"]} | dict(options["model_init_kwargs"] or {})
    if quantization is None:
        return _base_model.open_base(base, options.dtype, known, str(options.base), head=head)
    fewer = _quantized.arguments(quantization, options.dtype, on_cpu=_trl.uses_cpu(options))
    with _quantized.opening(quantization):
        return _base_model.open_base(base, options.dtype, known | fewer, str(options.base), head=head)
