"""Few-shot classification by SetFit: contrastive pairs, then a head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations_with_replacement, cycle, islice
from random import Random
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Bool, Choice, Float, Int, OptionSet, Text, Texts
from dreammake.core.options import Path as PathOption
from dreammake.core.step import Columns
from dreammake.core.trainer import Training
from dreammake.trainers import _embedding_model, _loop, _model_folder
from dreammake.trainers._labels import (
    Names,
    check_enough,
    check_known,
    labelled,
    matrix_of,
    names_in,
    needs_labels,
    scores,
)
from dreammake.trainers._options import with_trl_options
from dreammake.trainers._reader_options import ReaderOptions
from dreammake.trainers._torch_trainer import TorchTrainer

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

Pair = tuple[int, int, float]
"""Two rows by their numbers, and whether they are alike: 1 or 0."""


class _Data(OptionSet):
    base = PathOption(
        'The embedding model to start from: a folder, a target, a name on the Hub, or "smollm2" (embedded).'
    )
    text = Text("What is classified.")
    label = Text("The label of a row, where each has exactly one.", default=None)
    labels = Texts(
        "The labels of a row, where it may have several or none: a list, or `{{ column }}`, a column of lists.",
        default=None,
    )
    sampling_strategy = Choice(
        'How many pairs: "oversampling" repeats the fewer of like and unlike ones until there are as many of both, '
        '"undersampling" leaves out of the more, "unique" takes each once.',
        "oversampling",
        "undersampling",
        "unique",
        default="oversampling",
    )
    num_iterations = Int(
        "So many like and so many unlike pairs for each row, in place of `sampling_strategy`.", default=None, at_least=1
    )
    normalize_embeddings = Bool("The head reads vectors of length 1.", default=False)
    max_seq_length = Int("Longer texts are cut; None: as the base does.", unit="tokens", default=None, at_least=1)
    learning_rate = Float("The learning rate of the embedding model.", default=2e-5, at_least=0)
    num_train_epochs = Float("How often all pairs are learned from.", default=1.0, at_least=0)
    per_device_train_batch_size = Int("Pairs a step.", unit="pairs", default=16, at_least=1)
    warmup_steps = Float(
        "Steps in which the learning rate rises; below 1, a part of all steps.", default=0.1, at_least=0
    )


class SetfitOptions(ReaderOptions, _Data):
    """The texts, their labels and the pairs; then options of SentenceTransformerTrainingArguments."""


class Setfit(TorchTrainer):
    """Teaches a small embedding model to tell the labels of texts from a few examples of each.

    First the model learns from pairs of rows, that those with a common label are near each other; then a logistic
    regression learns to tell labels from its vectors. Eight rows a label are often enough. With an `eval` input it is
    measured in the end: `eval_accuracy` and `eval_f1`.

    The method is written here, on Sentence Transformers and scikit-learn: it needs no `setfit`, goes on from a
    checkpoint, and reaches for nothing on the Hub. The folder is laid out as the package `setfit` does it, so it opens
    with `SetFitModel.from_pretrained`, and its embedding model alone with `SentenceTransformer`. The head is a pickle
    there (`model_head.pkl`): open folders of people whom you trust only. Equal inputs give equal bytes on one kind of
    machine.
    """

    packages = (*_embedding_model.PACKAGES, "sklearn")
    shards = False
    spreads = False
    Options = with_trl_options("setfit", SetfitOptions)
    paper = "TrainSetFitClassifier"
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
    train setfit:
        base: "smollm2"
        text: "{{ review }}"
        label: "{{ mood }}"
        max_steps: 2
"""

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        """One label a row, or a list of them."""
        super().needs(options, have)
        needs_labels("setfit", options)

    def train(self, options: Any, training: Training) -> None:
        several = options.labels is not None
        train = labelled("setfit", options, training.train, training, "train")
        eval_ = None if training.eval is None else labelled("setfit", options, training.eval, training, "eval")
        names = names_in(train["labels"])
        check_enough(names, several=several)
        if eval_ is not None:
            check_known(eval_["labels"], names, "the training set")
        pairs = pairs_of(train["labels"], options.sampling_strategy, options.num_iterations, options["seed"])
        training.say(f"{len(pairs)} pairs of {len(train)} rows")
        model = _embedding_model.open_model(options, training)
        trainer = _embedding_model.trainer_of(
            model,
            options,
            training,
            _dataset_of_pairs(train, pairs),
            _embedding_model.loss_of("CosineSimilarityLoss", model, {}),
            method="setfit",
            eval_strategy="no",
        )
        measures = _loop.run(trainer, training, options)
        head = _head(_vectors(model, train, options), matrix_of(train["labels"], names), several=several)
        if eval_ is not None:
            guessed = _matrix(head.predict(_vectors(model, eval_, options)), names, several=several)
            found = scores(matrix_of(eval_["labels"], names), guessed)
            measures |= {f"eval_{name}": value for name, value in found.items()}
        _embedding_model.save(model, options, training)
        _save_head(head, names, options, training)
        facts = {"base": options.base, "rows": len(train), "pairs": len(pairs), "labels": list(names), **measures}
        libraries = (*_embedding_model.LIBRARIES, "scikit-learn")
        _model_folder.save_log(trainer, training.folder, "setfit", options, facts, libraries)


def pairs_of(labels: Sequence[Sequence[str]], strategy: str, iterations: int | None, seed: int) -> list[Pair]:
    """Like and unlike pairs in turn, each kind in an order by the seed. A row is like itself, if it has a label."""
    sets = [set(row) for row in labels]
    like: list[Pair] = []
    unlike: list[Pair] = []
    for one, other in combinations_with_replacement(range(len(sets)), 2):
        if sets[one] & sets[other]:
            like.append((one, other, 1.0))
        elif one != other:
            unlike.append((one, other, 0.0))
    random = Random(seed)
    random.shuffle(like)
    random.shuffle(unlike)
    if iterations is not None:
        wanted = {1.0: iterations * len(sets), 0.0: iterations * len(sets)}
    elif strategy == "unique":
        wanted = {1.0: len(like), 0.0: len(unlike)}
    else:
        count = (max if strategy == "oversampling" else min)(len(like), len(unlike))
        wanted = {1.0: count, 0.0: count}
    return _in_turn(list(islice(cycle(like), wanted[1.0])), list(islice(cycle(unlike), wanted[0.0])))


def _in_turn(some: list[Pair], others: list[Pair]) -> list[Pair]:
    both = [pair for pairs in zip(some, others, strict=False) for pair in pairs]
    common = len(both) // 2
    return both + some[common:] + others[common:]


def _dataset_of_pairs(rows: Dataset, pairs: list[Pair]) -> Dataset:
    texts = list(rows["text"])
    columns = {
        "sentence_1": [texts[one] for one, _, _ in pairs],
        "sentence_2": [texts[other] for _, other, _ in pairs],
        "label": [alike for _, _, alike in pairs],
    }
    return type(rows).from_dict(columns)


def _vectors(model: SentenceTransformer, rows: Dataset, options: Any) -> NDArray[Any]:
    return model.encode(list(rows["text"]), normalize_embeddings=options.normalize_embeddings, show_progress_bar=False)


def _head(vectors: NDArray[Any], labels: NDArray[Any], *, several: bool) -> Any:
    """A fitted logistic regression: of label ids, or one for each label. `labels` is booleans, (rows, labels)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    regression = LogisticRegression(max_iter=1000)
    if several:
        return OneVsRestClassifier(regression).fit(vectors, labels.astype(int))
    return regression.fit(vectors, labels.argmax(1))


def _matrix(guessed: NDArray[Any], names: Names, *, several: bool) -> NDArray[Any]:
    import numpy

    return guessed.astype(bool) if several else guessed[:, None] == numpy.arange(len(names))


def _save_head(head: Any, names: Names, options: Any, training: Training) -> None:
    """Two files by the names that the package `setfit` reads."""
    import joblib

    joblib.dump(head, training.folder / "model_head.pkl")
    document = {"labels": list(names), "normalize_embeddings": options.normalize_embeddings}
    (training.folder / "config_setfit.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
