"""Classification of texts, with transformers' Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.embedded import base_folder
from dreammake.core.options import Bool, Int, OptionSet, Text, Texts, Wrong
from dreammake.core.options import Path as PathOption
from dreammake.core.step import Columns
from dreammake.core.trainer import Training
from dreammake.trainers import _adapter, _base_model, _loop, _model_folder, _trl
from dreammake.trainers._labels import (
    Names,
    check_enough,
    check_known,
    labelled,
    matrix_of,
    names_in,
    needs_labels,
    scores_of_logits,
)
from dreammake.trainers._options import Lora, with_trl_options
from dreammake.trainers._reader_options import MeasuredOptions, ReaderOptions, known_to_base
from dreammake.trainers._tokenizer import need_padding
from dreammake.trainers._torch_trainer import TorchTrainer

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class _Data(OptionSet):
    base = PathOption('The model to start from: a folder, a target, a name on the Hub, or "smollm2" (embedded).')
    text = Text("What is classified.")
    label = Text("The label of a row, where each has exactly one.", default=None)
    labels = Texts(
        "The labels of a row, where it may have several or none: a list, or `{{ column }}`, a column of lists.",
        default=None,
    )
    max_length = Int("Longer texts are cut; None: what the base can read.", unit="tokens", default=None, at_least=1)
    ignore_mismatched_sizes = Bool(
        "Give a base that is a classifier already a new head, for other labels than its own.", default=False
    )
    peft = Lora(
        "Train an adapter and the head in place of all weights: `lora(r=8)`, by the names of PEFT's LoraConfig. It "
        "is put into the weights in the end, because an adapter alone knows no labels.",
        default=None,
    )


class ClassifierOptions(ReaderOptions, MeasuredOptions, _Data):
    """The texts and their labels, and the base model; then all options of transformers' TrainingArguments."""


class Classifier(TorchTrainer):
    """Teaches a model to tell the label of a text, or all of its labels.

    The base may be an encoder such as BERT, which is best for its size, or a causal model; it gets a new head, one
    number for each label. A base that is a classifier already keeps its head and its labels. `label` is for rows with
    one label each; `labels` for rows with any number of them. The names of the labels are those in the rows, and are in
    the `config.json` of the result.

    With an `eval` input it is measured: `eval_accuracy`, the part of rows with all labels right, and `eval_f1`, the
    mean of F1 over the labels. A row without a label is an error row.

    The result opens with `AutoModelForSequenceClassification`, and with transformers' pipeline
    `text-classification`. Beside the weights are `training.json` and `training_log.jsonl`. Equal inputs give equal
    bytes on one kind of machine.
    """

    shards = False  # FSDP2 refuses the layers of BERT; a classifier is small, or learns by an adapter
    Options = with_trl_options("classifier", ClassifierOptions)
    paper = "TrainHFClassifier"
    example = """
rule reviews:
    output: "data/reviews"
    rows: [
        {"review": "A joy from start to end.", "mood": "good"},
        {"review": "I fell asleep.", "mood": "bad"},
    ]

rule critic:
    input: "data/reviews"
    output: "models/critic"
    train classifier:
        base: "smollm2"
        text: "{{ review }}"
        label: "{{ mood }}"
        peft: lora(r=8)
        max_steps: 2
"""

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        """One label a row, or a list of them."""
        super().needs(options, have)
        needs_labels("classifier", options)
        if options["labels"] is not None and options["label_smoothing_factor"]:
            raise Wrong(
                "`label_smoothing_factor` is for rows with one label, and here they have `labels`",
                "leave it out",
                "conflicting-options",
            )

    def train(self, options: Any, training: Training) -> None:
        from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, set_seed

        train = labelled("classifier", options, training.train, training, "train")
        eval_ = None if training.eval is None else labelled("classifier", options, training.eval, training, "eval")
        several = options.labels is not None
        base = base_folder(training.base, training.say)
        names = _names(base, options, train["labels"])
        check_enough(names, several=several)
        if eval_ is not None:
            check_known(eval_["labels"], names, "the training set")
        args = _trl.config_of(TrainingArguments, "classifier", options, training)
        set_seed(args.seed)
        model, tokenizer = _open(base, options, names)
        length = options.max_length or _longest(model, tokenizer)
        trainer = _trl.checked(
            lambda: Trainer(
                model=model,
                args=args,
                train_dataset=_encoded(train, tokenizer, length, names, several=several),
                eval_dataset=eval_ and _encoded(eval_, tokenizer, length, names, several=several),
                processing_class=tokenizer,
                data_collator=DataCollatorWithPadding(tokenizer),
                compute_metrics=scores_of_logits(several=several),
            )
        )
        measures = _loop.run(trainer, training, options)
        _model_folder.save_model(trainer.model, tokenizer, training.folder, str(options.base), merge=True)
        facts = {"base": options.base, "rows": len(train), "labels": list(names), **measures}
        _model_folder.save_log(trainer, training.folder, "classifier", options, facts)


def _names(base: str | Path, options: Any, labels: list[list[str]]) -> Names:
    """The labels in the order of their ids: the base's own where it is a classifier, else those of the rows."""
    found = names_in(labels)
    known = _base_model.labels_of(base, known_to_base(options), str(options.base))
    if not known or options.ignore_mismatched_sizes:
        return found
    hint = "say `ignore_mismatched_sizes: True` for a new head; or rename the labels of the rows"
    check_known(labels, known, f"the base model {options.base}", hint)
    return known


def _open(base: str | Path, options: Any, names: Names) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base with a head for the labels, and an adapter on it where there is to be one."""
    from peft import get_peft_model

    head = {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: place for place, name in enumerate(names)},
        "problem_type": "single_label_classification" if options.labels is None else "multi_label_classification",
        "ignore_mismatched_sizes": options.ignore_mismatched_sizes,
    }
    known = known_to_base(options) | head
    model, tokenizer = _base_model.open_base(base, options.dtype, known, str(options.base), head="score")
    # Else transformers takes the loss for one that is a sum over all processes and accumulated batches: it is a mean.
    model.accepts_loss_kwargs = False
    need_padding(tokenizer, options.base)
    lora = _trl.lora_config(options.peft, "SEQ_CLS")
    if lora is None:
        return model, tokenizer
    _adapter.check_modules(model, lora)
    return _trl.checked(lambda: get_peft_model(model, lora)), tokenizer


def _longest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens the base can read."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(min(tokenizer.model_max_length, positions or tokenizer.model_max_length))


def _encoded(
    dataset: Dataset, tokenizer: PreTrainedTokenizerBase, length: int, names: Names, *, several: bool
) -> Dataset:
    """Token ids, and labels as the model's loss takes them: an id, or 0 and 1 for each label."""
    matrix = matrix_of(dataset["labels"], names)
    labels = matrix.astype("float32") if several else matrix.argmax(1)
    tokens = tokenizer(list(dataset["text"]), truncation=True, max_length=length)
    kept = {name: tokens[name] for name in tokenizer.model_input_names if name in tokens}
    return type(dataset).from_dict(kept | {"labels": list(labels)})
