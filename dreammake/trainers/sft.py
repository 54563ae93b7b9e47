"""Supervised fine-tuning with TRL's SFTTrainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.embedded import EMBEDDED, base_folder
from dreammake.core.options import Bool, Choice, Int, OptionSet, Str, Text, Texts, Wrong
from dreammake.core.options import Path as PathOption
from dreammake.core.rows import Rows
from dreammake.core.step import Columns
from dreammake.core.trainer import Training
from dreammake.trainers import _base_model, _loop, _model_folder, _trl
from dreammake.trainers._examples import chat, dataset_of, messages_renderer, renderer
from dreammake.trainers._options import Field, Lora, with_trl_options
from dreammake.trainers._torch_trainer import TorchTrainer

if TYPE_CHECKING:
    from datasets import Dataset


class SftOptions(OptionSet):
    """The data, the base model, and what is saved; then all options of TRL's SFTConfig."""

    base = PathOption('The model to start from: a folder, a target, a name on the Hub, or "smollm2" (embedded).')
    prompt = Text("What the model is given.", default=None)
    completion = Text("What it learns to answer: the loss counts these tokens only.", default=None)
    messages = Texts(
        "A whole chat, a list of role and content; or `{{ column }}`, a column that holds one.", default=None
    )
    text = Text("A plain text to continue, in place of prompt and completion.", default=None)
    system = Text("The system prompt of each chat.", default=None)
    peft = Lora(
        "Train an adapter in place of all weights: `lora(r=8)`, by the names of PEFT's LoraConfig.", default=None
    )
    merge = Bool("Put the trained adapter into the model's weights, so that the folder needs no base.", default=False)
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


class Sft(TorchTrainer):
    """Teaches a causal language model by example.

    Each row is a prompt with its completion, a chat (`messages`), or a plain `text`. Where the base model has a
    chat template, prompt and completion become the messages of a user and an assistant, and the loss counts the
    completion only. Every option of TRL's SFTConfig is taken by its name there.

    The result is a model folder; with `peft: lora(...)` it is an adapter, which names its base model, and `merge:
    True` makes a whole model of it. Beside the weights are `training.json` (the loss, the steps, every resolved
    option) and `training_log.jsonl`. Equal inputs give equal bytes on one kind of machine.
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
        from trl import SFTConfig, SFTTrainer

        base = base_folder(training.base, training.say)
        if options.peft is not None and not options.merge and _base_model.is_adapter(base):
            fail(
                "adapter-base",
                f"the base model {options.base} is an adapter, and an adapter cannot be the base of another one",
                hint="say `merge: True` where the base is trained, or here",
                exit_code=1,
            )
        named = {"revision": options.revision} if options.revision else {}
        known = named | {"trust_remote_code": options["trust_remote_code"]} | dict(options["model_init_kwargs"] or {})
        model, tokenizer = _base_model.open_base(base, options.dtype, known)
        examples = _examples_of(options, has_chat=bool(tokenizer.chat_template))
        train = _dataset(training.train, examples, "train")
        eval_ = None if training.eval is None else _dataset(training.eval, examples, "eval")
        config = _trl.config_of(SFTConfig, "sft", options, training)
        trainer = _trl.checked(
            lambda: SFTTrainer(
                model=model,
                args=config,
                train_dataset=train,
                eval_dataset=eval_,
                processing_class=tokenizer,
                peft_config=_trl.lora_config(options.peft),
            )
        )
        left_out = 0 if options["packing"] else len(train) - len(trainer.train_dataset)
        if left_out:
            training.say(f"{left_out} of {len(train)} rows are left out: their prompt alone fills max_length")
        measures = _loop.run(trainer, training)
        base_name = str(base) if training.base == EMBEDDED else str(options.base)
        _model_folder.save_model(trainer.model, tokenizer, training.folder, base_name, merge=options.merge)
        facts = {"base": options.base, "rows": len(train), "rows_left_out": left_out, **measures}
        _model_folder.save_log(trainer, training.folder, "sft", options, facts)


Examples = Callable[[Rows], tuple[tuple[str, ...], Iterator[dict[str, Any]]]]
"""Makes of rows the names of TRL's columns, and the examples with them."""


def _examples_of(options: Any, *, has_chat: bool) -> Examples:
    """The shape of data that the options name, in TRL's terms."""
    if options.messages is not None:
        if not has_chat:
            fail(
                "no-chat-template",
                f"the base model {options.base} has no chat template, so `messages` cannot be written as a text",
                hint="use a model that was trained for chat, or `prompt` and `completion`",
                exit_code=1,
            )
        return lambda rows: (("messages",), _messages(options, rows))
    if options.text is not None:
        return lambda rows: (("text",), _texts(options, rows))
    return lambda rows: (("prompt", "completion"), _pairs(options, rows, has_chat=has_chat))


def _messages(options: Any, rows: Rows) -> Iterator[dict[str, Any]]:
    system = renderer(options.system, rows.columns)
    messages = messages_renderer(options.messages, rows.columns)
    for row in rows.dicts():
        yield {"messages": chat(system(row)) + list(messages(row))}


def _texts(options: Any, rows: Rows) -> Iterator[dict[str, Any]]:
    text = renderer(options.text, rows.columns)
    return ({"text": text(row)} for row in rows.dicts())


def _pairs(options: Any, rows: Rows, *, has_chat: bool) -> Iterator[dict[str, Any]]:
    system = renderer(options.system, rows.columns)
    prompt = renderer(options.prompt, rows.columns)
    completion = renderer(options.completion, rows.columns)
    for row in rows.dicts():
        if has_chat:
            asked = chat(system(row), user=prompt(row))
            yield {"prompt": asked, "completion": chat(None, assistant=completion(row))}
        else:
            before = f"{system(row)}\n\n" if options.system is not None else ""
            yield {"prompt": before + prompt(row), "completion": completion(row)}


def _dataset(rows: Rows, examples: Examples, name: str) -> Dataset:
    columns, made = examples(rows)
    return dataset_of(columns, made, name)
