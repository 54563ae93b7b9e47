"""Embedding models, with Sentence Transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Bool, Choice, Dict, Int, List, OptionSet, Text, Wrong
from dreammake.core.options import Path as PathOption
from dreammake.core.rows import Rows
from dreammake.core.step import Columns
from dreammake.core.trainer import Training
from dreammake.trainers import _embedding_model, _loop, _model_folder
from dreammake.trainers._examples import Row, Unlearnable, dataset_of, examples_of, renderer, value_renderer
from dreammake.trainers._labels import check_enough, name_of, names_in
from dreammake.trainers._options import Field, Lora, with_trl_options
from dreammake.trainers._reader_options import MeasuredOptions, ReaderOptions
from dreammake.trainers._torch_trainer import TorchTrainer

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a row of the data is: the options that say it, the losses that take it, the default first, and what measures
    it beside the loss."""

    options: tuple[str, ...]
    losses: tuple[str, ...]
    evaluator: str | None = None


_RANKING = ("MultipleNegativesRankingLoss", "CachedMultipleNegativesRankingLoss")
_SHAPES = (
    _Shape(("anchor", "positive"), _RANKING),
    _Shape(("anchor", "positive", "negative"), (*_RANKING, "TripletLoss"), "TripletEvaluator"),
    _Shape(
        ("anchor", "positive", "score"),
        ("CoSENTLoss", "CosineSimilarityLoss", "AnglELoss"),
        "EmbeddingSimilarityEvaluator",
    ),
    _Shape(
        ("anchor", "positive", "label"), ("OnlineContrastiveLoss", "ContrastiveLoss"), "BinaryClassificationEvaluator"
    ),
    _Shape(
        ("anchor", "label"),
        ("BatchAllTripletLoss", "BatchHardTripletLoss", "BatchSemiHardTripletLoss", "BatchHardSoftMarginTripletLoss"),
    ),
)
_CLASSES = _SHAPES[-1]
_LOSSES = tuple(dict.fromkeys(loss for shape in _SHAPES for loss in shape.losses))
_YES_OR_NO = {"1": 1, "true": 1, "0": 0, "false": 0}


class _Data(OptionSet):
    base = PathOption('The model to start from: a folder, a target, a name on the Hub, or "smollm2" (embedded).')
    anchor = Text("A text.")
    positive = Text("A text that is to be near the anchor; or, with `score` or `label`, one to compare.", default=None)
    negative = Text("A text that is to be far from the anchor.", default=None)
    score = Text("How like the anchor and the positive are: a number, greater for more.", default=None)
    label = Text(
        "With `positive`: whether the two belong together, 1 or 0. Without: the class of the anchor; texts of one "
        "class come near each other.",
        default=None,
    )
    loss = Choice(
        "What is made small, by its name in Sentence Transformers; None is the usual one for the data.",
        *_LOSSES,
        default=None,
    )
    loss_args = Dict("Arguments of the loss, by their names there: `scale`, `margin`.", default={})
    matryoshka_dims = List(
        "Numbers of dimensions that are good on their own, too, so that vectors can be cut: `[384, 128, 64]`.",
        default=None,
    )
    max_seq_length = Int("Longer texts are cut; None: as the base does.", unit="tokens", default=None, at_least=1)
    peft = Lora(
        "Train an adapter in place of all weights: `lora(r=8)`, by the names of PEFT's LoraConfig.", default=None
    )
    merge = Bool("Put the trained adapter into the model's weights, so that the folder needs no base.", default=False)
    batch_sampler = Field(
        'What goes into one batch; None is "group_by_label" for classes, else "batch_sampler", any rows.',
        kinds=("null",),
        choices=("batch_sampler", "no_duplicates", "no_duplicates_hashed", "group_by_label"),
        default=None,
    )


class EmbedderOptions(ReaderOptions, MeasuredOptions, _Data):
    """The texts, the base model and the loss; then all options of SentenceTransformerTrainingArguments."""


class Embedder(TorchTrainer):
    """Teaches an embedding model which texts are near each other.

    Which of `anchor`, `positive`, `negative`, `score` and `label` are given says what a row is: a pair, a triplet,
    a pair with a score, a pair that belongs together or not, or a text of a class. Each has its usual loss, and takes
    some others by `loss`. The base is an embedding model, or any model that reads texts: it then gets mean pooling.

    With an `eval` input it is measured by its loss, and by the evaluator of Sentence Transformers for triplets and for
    pairs with a score or a label.

    The result opens with `SentenceTransformer`, and is a model of the engine `sentence-transformers`. With `peft:
    lora(...)` it is an adapter, which names its base model, and `merge: True` makes a whole model of it. Beside the
    weights are `training.json` and `training_log.jsonl`. Equal inputs give equal bytes on one kind of machine.
    """

    packages = _embedding_model.PACKAGES
    shards = False
    Options = with_trl_options("embedder", EmbedderOptions)
    paper = "TrainSentenceTransformer"
    example = """
rule pairs:
    output: "data/pairs"
    rows: [
        {"question": "How tall is the tower?", "answer": "It rises 300 metres."},
        {"question": "Who wrote the opera?", "answer": "A composer from Parma."},
    ]

rule finder:
    input: "data/pairs"
    output: "models/finder"
    train embedder:
        base: "smollm2"
        anchor: "{{ question }}"
        positive: "{{ answer }}"
        peft: lora(r=8)
        max_steps: 2
"""

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        """One shape of data, and a loss that takes it."""
        super().needs(options, have)
        shape = _shape_of(options)
        loss = options["loss"]
        if loss is not None and loss not in shape.losses:
            raise Wrong(
                f"the `loss` {loss} does not take rows of {' and '.join(shape.options)}",
                f"take {' or '.join(shape.losses)}",
                "conflicting-options",
            )

    def train(self, options: Any, training: Training) -> None:
        shape = _shape_of(options)
        train = _dataset(shape, options, training.train, training, "train")
        eval_ = None if training.eval is None else _dataset(shape, options, training.eval, training, "eval")
        if shape is _CLASSES:
            train, eval_ = _with_ids(train, eval_)
        model = _embedding_model.open_model(options, training)
        trainer = _embedding_model.trainer_of(
            model,
            options,
            training,
            train,
            _loss(model, options, shape),
            eval_=eval_,
            evaluator=None if eval_ is None else _evaluator(eval_, shape),
            batch_sampler=options.batch_sampler or ("group_by_label" if shape is _CLASSES else "batch_sampler"),
        )
        measures = _loop.run(trainer, training, options)
        _embedding_model.save(model, options, training)
        facts = {"base": options.base, "rows": len(train), **measures}
        _model_folder.save_log(trainer, training.folder, "embedder", options, facts, _embedding_model.LIBRARIES)


def _shape_of(options: OptionSet) -> _Shape:
    """Raises Wrong where the given options are no shape of data."""
    given = {name for name in ("anchor", "positive", "negative", "score", "label") if options[name] is not None}
    for shape in _SHAPES:
        if given == set(shape.options):
            return shape
    if given == {"anchor"}:
        hint = 'say what is near it: positive: "{{ column }}"; or of which class it is: label: "{{ column }}"'
        raise Wrong("`train embedder` has an `anchor`, and nothing to compare it with", hint, "missing-option")
    listed = ", ".join(f"`{name}`" for name in sorted(given))
    known = "; or ".join(", ".join(f"`{name}`" for name in shape.options) for shape in _SHAPES)
    raise Wrong(f"`train embedder` has no use for {listed} together", f"give {known}", "conflicting-options")


def _dataset(shape: _Shape, options: Any, rows: Rows, training: Training, name: str) -> Dataset:
    """Its columns are in the order that the losses want: texts first."""
    return dataset_of(shape.options, _examples(shape, options, rows, training), name, training)


def _examples(shape: _Shape, options: Any, rows: Rows, training: Training) -> Iterator[dict[str, Any]]:
    texts = {name: renderer(options[name], rows.columns) for name in shape.options if name not in ("score", "label")}
    last = shape.options[-1]
    value = None if last in texts else value_renderer(options[last], rows.columns)
    read: Callable[[Any], Any] = name_of if shape is _CLASSES else _score if last == "score" else _yes_or_no

    def make(row: Row) -> dict[str, Any]:
        rendered: Mapping[str, Any] = {name: text(row) for name, text in texts.items()}
        return dict(rendered) if value is None else {**rendered, last: read(value(row))}

    return examples_of(rows, make, training, "embedder")


def _score(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Unlearnable("no-label", f"the score of the row is no number: {value!r}") from None


def _yes_or_no(value: Any) -> int:
    found = _YES_OR_NO.get(str(int(value) if isinstance(value, float) else value).strip().lower())
    if found is None:
        raise Unlearnable("no-label", f"the label of two texts is 1 or 0, not {value!r}")
    return found


def _with_ids(train: Dataset, eval_: Dataset | None) -> tuple[Dataset, Dataset | None]:
    """Classes as numbers."""
    names = names_in([name] for dataset in (train, eval_) if dataset is not None for name in dataset["label"])
    check_enough(names, several=False)
    places = {name: place for place, name in enumerate(names)}

    def numbered(dataset: Dataset) -> Dataset:
        return type(dataset).from_dict(
            {"anchor": list(dataset["anchor"]), "label": [places[name] for name in dataset["label"]]}
        )

    return numbered(train), None if eval_ is None else numbered(eval_)


def _loss(model: SentenceTransformer, options: Any, shape: _Shape) -> Any:
    loss = _embedding_model.loss_of(options.loss or shape.losses[0], model, options.loss_args)
    if options.matryoshka_dims is None:
        return loss
    return _embedding_model.loss_of("MatryoshkaLoss", model, {"loss": loss, "matryoshka_dims": options.matryoshka_dims})


def _evaluator(dataset: Dataset, shape: _Shape) -> Any:
    """What measures beside the loss; None for pairs and classes."""
    from sentence_transformers.sentence_transformer import evaluation

    if shape.evaluator is None:
        return None
    columns = (list(dataset[name]) for name in shape.options)
    return getattr(evaluation, shape.evaluator)(*columns, show_progress_bar=False, write_csv=False)
