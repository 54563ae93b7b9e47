"""Kahneman-Tversky optimization with TRL's KTOTrainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.options import Expression, OptionSet, Text, describe
from dreammake.core.step import Columns
from dreammake.core.trainer import Training
from dreammake.core.values import RowExpression
from dreammake.trainers import _trl
from dreammake.trainers._examples import Row, Unlearnable, chat, renderer
from dreammake.trainers._options import with_trl_options
from dreammake.trainers._preference import Data, Example, PreferenceTrainer, asked_of
from dreammake.trainers._tuning import Base, Rounds, Start, Tuning

if TYPE_CHECKING:
    from transformers import Trainer


class Labelled(OptionSet):
    """Answers that are good or bad, each for itself."""

    prompt = Text("What the model is given.", default=None)
    completion = Text("An answer.", default=None)
    label = Expression("Whether the answer is good, True or False: `liked`, or `stars > 3`.", default=None)
    system = Text("The system prompt of each chat.", default=None)


class KtoOptions(Rounds, Tuning, Labelled, Base):
    """The data, the base model, and what is saved; then all options of TRL's KTOConfig."""


class Kto(PreferenceTrainer):
    """Teaches a causal language model from answers that are each good or bad (Kahneman-Tversky optimization).

    Each row is a prompt with one answer (`completion`) and whether that is a good one (`label`); there are no pairs.
    A row whose label is null goes to the error table. Where the base model has a chat template, prompt and answer
    become the messages of a user and an assistant. The reference is the base model (with `peft`, the model without its
    new adapter), or with `adapter` what that adapter was at the start. Rows are taken in their order, so `shuffle` them
    before where good and bad ones stand apart. Every option of TRL's KTOConfig is taken by its name there.

    The result is a model folder; with `peft: lora(...)` it is an adapter, which names its base model, and `merge:
    True` makes a whole model of it. Beside the weights are `training.json` (the loss, the steps, every resolved
    option) and `training_log.jsonl`. Equal inputs give equal bytes on one kind of machine.
    """

    data_options = ("prompt", "completion", "label")
    columns = ("prompt", "completion", "label")
    Options = with_trl_options("kto", KtoOptions)
    example = """
rule answers:
    output: "data/answers"
    rows: [
        {"question": "2 + 2?", "answer": "4", "stars": 5},
        {"question": "3 + 3?", "answer": "7", "stars": 1},
    ]

rule aligned:
    input: "data/answers"
    output: "models/aligned"
    train kto:
        base: "smollm2"
        prompt: "{{ question }}"
        completion: "{{ answer }}"
        label: stars > 3
        peft: lora(r=8)
        per_device_train_batch_size: 2
        max_steps: 2
"""

    def example_of(self, options: Any, columns: Columns, *, has_chat: bool) -> Callable[[Row], Example]:
        asked = asked_of(options, columns, has_chat=has_chat)
        completion, label = renderer(options.completion, columns), label_of(options.label, columns)

        def make(row: Row) -> Example:
            answer = completion(row)
            return {
                "prompt": asked(row),
                "completion": chat(None, assistant=answer) if has_chat else answer,
                "label": label(row),
            }

        return make

    def trainer_of(self, start: Start, data: Data, options: Any, training: Training) -> Trainer:
        from trl import KTOConfig, KTOTrainer

        config = _trl.config_of(KTOConfig, "kto", options, training)
        return _trl.checked(
            lambda: KTOTrainer(
                model=start.model,
                ref_model=start.reference(options),
                args=config,
                train_dataset=data.train,
                eval_dataset=data.eval,
                processing_class=start.tokenizer,
                peft_config=start.lora,
            )
        )


def label_of(expression: RowExpression, columns: Columns) -> Callable[[Row], bool]:
    """What says of a row whether its answer is good. Raises DreamError for what is not true or false."""
    from dreammake.lang.row import compile_row

    function = compile_row(expression, columns)

    def label(row: Row) -> bool:
        value = function.map([[row[name]] for name in function.columns], 1)[0]
        if value is None:
            raise Unlearnable("no-label", f"`{expression.text}` is None: nobody said whether the answer is good")
        if value not in (True, False):
            fail(
                "no-label",
                f"`label` is True or False, and `{expression.text}` is {describe(value)}",
                hint="compare it, as in `label: stars > 3`; a column that is true or false is named without quotes",
                exit_code=1,
            )
        return bool(value)

    return label
