"""Direct preference optimization with TRL's DPOTrainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.options import Option, Wrong
from dreammake.core.spelling import did_you_mean
from dreammake.core.trainer import Training
from dreammake.trainers import _trl
from dreammake.trainers._options import with_trl_options
from dreammake.trainers._preference import Data, Pairs, PreferenceTrainer
from dreammake.trainers._tuning import Base, Rounds, Start, Tuning

if TYPE_CHECKING:
    from transformers import Trainer

LOSSES = (
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
)


class Losses(Option[list[str]]):
    """Names of losses; one stands for a list of one."""

    takes = "the name of a loss, or a list of them"

    def read(self, value: Any) -> list[str]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names:
            raise self.wrong(value)
        for name in names:
            if name not in LOSSES:
                hint = did_you_mean(str(name), LOSSES) or f"there are {', '.join(LOSSES)}"
                raise Wrong(f"`{self.name}` has no loss `{name}`", hint)
        return list(names)


class DpoOptions(Rounds, Tuning, Pairs, Base):
    """The data, the base model, and what is saved; then all options of TRL's DPOConfig."""

    loss_type = Losses(
        f"The loss, or several, which are added by `loss_weights`: {', '.join(LOSSES)}.", default=["sigmoid"]
    )


class Dpo(PreferenceTrainer):
    """Teaches a causal language model to prefer one answer to another, by direct preference optimization.

    Each row is a prompt with a better and a worse answer (`chosen`, `rejected`). Where the base model has a chat
    template, they become the messages of a user and an assistant. The model learns to make the better one likelier
    than the worse one, by comparison with a reference that does not learn: the base model (with `peft`, the model
    without its new adapter), or with `adapter` what that adapter was at the start. Every option of TRL's DPOConfig is
    taken by its name there.

    The result is a model folder; with `peft: lora(...)` it is an adapter, which names its base model, and `merge:
    True` makes a whole model of it. Beside the weights are `training.json` (the loss, the steps, every resolved
    option) and `training_log.jsonl` (with the rewards of both answers). Equal inputs give equal bytes on one kind of
    machine.
    """

    Options = with_trl_options("dpo", DpoOptions)
    paper = "TrainHFDPO"
    example = """
rule pairs:
    output: "data/pairs"
    rows: [
        {"question": "2 + 2?", "good": "4", "bad": "5"},
        {"question": "3 + 3?", "good": "6", "bad": "7"},
    ]

rule aligned:
    input: "data/pairs"
    output: "models/aligned"
    train dpo:
        base: "smollm2"
        prompt: "{{ question }}"
        chosen: "{{ good }}"
        rejected: "{{ bad }}"
        peft: lora(r=8)
        max_steps: 2
"""

    def trainer_of(self, start: Start, data: Data, options: Any, training: Training) -> Trainer:
        from trl import DPOConfig, DPOTrainer

        config = _trl.config_of(DPOConfig, "dpo", options, training)
        return _trl.checked(
            lambda: DPOTrainer(
                model=start.model,
                ref_model=start.reference(options),
                args=config,
                train_dataset=data.train,
                eval_dataset=data.eval,
                processing_class=start.tokenizer,
                peft_config=start.lora,
            )
        )
