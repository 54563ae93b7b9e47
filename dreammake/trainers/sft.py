"""Supervised fine-tuning: causal models with TRL's SFTTrainer, others with transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.embedded import base_folder
from dreammake.core.options import OptionSet, Text, Texts, Wrong
from dreammake.core.rows import Rows
from dreammake.core.step import Columns
from dreammake.core.trainer import Training
from dreammake.trainers import _base_model, _seq2seq, _trl
from dreammake.trainers._examples import ROW, Row, chat, dataset_of, examples_of, leave_out, messages_renderer, renderer
from dreammake.trainers._options import with_trl_options
from dreammake.trainers._reader_options import known_to_base
from dreammake.trainers._torch_trainer import TorchTrainer
from dreammake.trainers._tuning import Base, Rounds, Start, Tuning, check_tuning, finish, open_start

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer


class Shapes(OptionSet):
    """What is learned: prompt and completion, a chat, or a text."""

    prompt = Text("What the model is given.", default=None)
    completion = Text("What it learns to answer: the loss counts these tokens only.", default=None)
    messages = Texts(
        "A whole chat, a list of role and content; or `{{ column }}`, a column that holds one.", default=None
    )
    text = Text("A plain text to continue, in place of prompt and completion.", default=None)
    system = Text("The system prompt of each chat.", default=None)


class SftOptions(Rounds, Tuning, Shapes, Base):
    """The data, the base model, and what is saved; then all options of TRL's SFTConfig."""


class Sft(TorchTrainer):
    """Teaches a language model by example.

    Each row is a prompt with its completion, a chat (`messages`), or a plain `text`. Where the base model has a
    chat template, prompt and completion become the messages of a user and an assistant, and the loss counts the
    completion only. Every option of TRL's SFTConfig is taken by its name there: `packing` for several rows in one
    sequence, `neftune_noise_alpha` for noise on the embeddings, `assistant_only_loss` for chats.

    A base that reads with an encoder, such as T5, is trained by transformers: on `prompt` and `completion`, each cut to
    `max_length`, and without the options that are for causal models only.

    A row whose prompt alone fills `max_length` has nothing to teach: it is an error row.

    The result is a model folder; with `peft: lora(...)` it is an adapter, which names its base model, and `merge:
    True` makes a whole model of it. Beside the weights are `training.json` (the loss, the steps, every resolved
    option), `training_log.jsonl`, and its curves as `training_curves.svg`. Equal inputs give equal bytes on one kind
    of machine.
    """

    Options = with_trl_options("sft", SftOptions)
    paper = "TrainHFFineTune"
    example = """
rule pairs:
    output: "data/pairs"
    rows: [
        {"word": "cat", "plural": "cats"},
        {"word": "box", "plural": "boxes"},
    ]

rule pluralizer:
    input: "data/pairs"
    output: "models/pluralizer"
    train sft:
        base: "smollm2"
        prompt: "The plural of {{ word }}?"
        completion: "{{ plural }}"
        peft: lora(r=8)
        max_steps: 2
"""

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        """One shape of data: prompt and completion, messages, or text."""
        super().needs(options, have)
        check_tuning("sft", options)
        given = {name for name in ("prompt", "completion", "messages", "text") if options[name] is not None}
        if given in ({"prompt", "completion"}, {"messages"}, {"text"}):
            return
        if given in ({"prompt"}, {"completion"}):
            lacking = "completion" if "prompt" in given else "prompt"
            raise Wrong(
                f"`train sft` has a `{given.pop()}` and no `{lacking}`",
                f'say which text it is: {lacking}: "{{{{ column }}}}"',
                "missing-option",
            )
        if not given:
            hint = 'say `prompt` and `completion`, or `messages`, or `text`: text: "{{ column }}"'
            raise Wrong("`train sft` does not say what it learns from", hint, "missing-option")
        listed = ", ".join(f"`{name}`" for name in sorted(given))
        raise Wrong(f"`train sft` takes one shape of data, not {listed}", "keep one of them", "conflicting-options")

    def train(self, options: Any, training: Training) -> None:
        base = base_folder(training.base, training.say)
        if _base_model.has_encoder(base, known_to_base(options), str(options.base)):
            _seq2seq.check_options(options)
            start = open_start(options, training, head="answer")
            train, eval_ = _datasets(options, training, has_chat=False)
            trainer = _seq2seq.trainer_of(start, train, eval_, options, training)
            learned = set(train[ROW])
        else:
            start = open_start(options, training)
            train, eval_ = _datasets(options, training, has_chat=start.has_chat)
            trainer, learned = _trainer_of(start, train, eval_, options, training)
        left_out = set(train[ROW]) - learned
        if left_out:
            reason = f"its prompt alone fills `max_length`, {options['max_length']} tokens"
            training.say(f"{len(left_out)} of {len(train)} rows are left out: of each, {reason}")
            leave_out(training.train, left_out, "context-overflow", reason, training, "sft")
        finish(trainer, start, "sft", options, training, {"rows": len(train), "rows_left_out": len(left_out)})


def _trainer_of(
    start: Start, train: Dataset, eval_: Dataset | None, options: Any, training: Training
) -> tuple[Trainer, set[int]]:
    """TRL's trainer, and the numbers of the rows that it learns from."""
    from trl import SFTConfig, SFTTrainer

    config = _trl.config_of(SFTConfig, "sft", options, training)
    learned: dict[str, set[int]] = {}

    class FittingTrainer(SFTTrainer):
        """Leaves out the rows that teach nothing before it packs, too, and knows which they are."""

        def _prepare_dataset(
            self, dataset: Any, processing_class: Any, args: Any, packing: bool, formatting_func: Any, name: str
        ) -> Any:
            # The other strategies of packing cut no row off: what does not fit goes into the next sequence.
            if not packing or args.packing_strategy == "bfd":
                dataset = super()._prepare_dataset(dataset, processing_class, args, False, formatting_func, name)
            learned[name] = set(dataset[ROW])
            if not learned[name]:
                hint = "raise `max_length`, or shorten the prompts"
                fail(
                    "empty-dataset",
                    f"of every `{name}` row, the prompt alone fills `max_length`",
                    hint=hint,
                    exit_code=1,
                )
            if packing:
                dataset = super()._prepare_dataset(dataset, processing_class, args, True, formatting_func, name)
            return dataset

    trainer = _trl.checked(
        lambda: FittingTrainer(
            model=start.model,
            args=config,
            train_dataset=train,
            eval_dataset=eval_,
            processing_class=start.tokenizer,
            peft_config=start.lora,
        )
    )
    return trainer, learned["train"]


def _datasets(options: Any, training: Training, *, has_chat: bool) -> tuple[Dataset, Dataset | None]:
    """The examples of both inputs, in the terms of TRL."""
    if options.messages is not None and not has_chat:
        fail(
            "no-chat-template",
            f"the base model {options.base} has no chat template, so `messages` cannot be written as a text",
            hint="use a model that was trained for chat, or `prompt` and `completion`",
            exit_code=1,
        )

    def dataset(rows: Rows, name: str) -> Dataset:
        columns, make = _example_of(options, rows.columns, has_chat=has_chat)
        return dataset_of((*columns, ROW), examples_of(rows, make, training, "sft"), name, training)

    return dataset(training.train, "train"), None if training.eval is None else dataset(training.eval, "eval")


def _example_of(options: Any, columns: Columns, *, has_chat: bool) -> tuple[Columns, Callable[[Row], dict[str, Any]]]:
    """TRL's names of what an example holds, and what makes one of a row."""
    system = renderer(options.system, columns)
    if options.text is not None:
        text = renderer(options.text, columns)
        return ("text",), lambda row: {"text": text(row)}
    if options.messages is not None:
        messages = messages_renderer(options.messages, columns)
        return ("messages",), lambda row: {"messages": chat(system(row)) + list(messages(row))}
    prompt, completion = renderer(options.prompt, columns), renderer(options.completion, columns)

    def pair(row: Row) -> dict[str, Any]:
        if has_chat:
            return {"prompt": chat(system(row), user=prompt(row)), "completion": chat(None, assistant=completion(row))}
        before = f"{system(row)}\n\n" if options.system is not None else ""
        return {"prompt": before + prompt(row), "completion": completion(row)}

    return ("prompt", "completion"), pair
