"""`train setfit`: its pairs, and a real training of a small embedding model from a few rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.values import Template
from dreammake.trainers.setfit import Setfit, pairs_of
from tests.support.minilm import needs_minilm, options_of, trained
from tests.support.training import Training, digests

REVIEWS = [
    {"review": "A joy from start to end.", "mood": "good", "tags": ["joy", "long"]},
    {"review": "I fell asleep.", "mood": "bad", "tags": ["long"]},
    {"review": "Lovely and warm, a joy.", "mood": "good", "tags": ["joy"]},
    {"review": "Awful, dull and cold.", "mood": "bad", "tags": []},
]
UNSEEN = [{"review": "What a joyful film!", "mood": "good"}, {"review": "Dull and awful.", "mood": "bad"}]
ONE = {"text": Template("{{ review }}"), "label": Template("{{ mood }}")}
SEVERAL = {"text": Template("{{ review }}"), "labels": Template("{{ tags }}")}
QUICK = {"learning_rate": 1e-4}

LABELS = st.lists(st.lists(st.sampled_from("abc"), max_size=2), min_size=1, max_size=8)
STRATEGIES = st.sampled_from(["oversampling", "undersampling", "unique"])


@given(LABELS, STRATEGIES, st.integers(0, 9))
def test_like_pairs_have_a_common_label_and_unlike_ones_have_none(
    labels: list[list[str]], strategy: str, seed: int
) -> None:
    pairs = pairs_of(labels, strategy, None, seed)
    assert all(bool(set(labels[one]) & set(labels[other])) == bool(alike) for one, other, alike in pairs)
    assert pairs == pairs_of(labels, strategy, None, seed)
    if strategy != "oversampling":
        assert max(Counter(pairs).values(), default=1) == 1


@pytest.mark.parametrize(
    ("strategy", "iterations", "like", "unlike"),
    [
        ("unique", None, 7, 3),
        ("oversampling", None, 7, 7),
        ("undersampling", None, 3, 3),
        ("unique", 2, 8, 8),
    ],
)
def test_how_many_pairs_there_are(strategy: str, iterations: int | None, like: int, unlike: int) -> None:
    pairs = pairs_of([["a"], ["a"], ["a"], ["b"]], strategy, iterations, 42)
    assert Counter(alike for _, _, alike in pairs) == {1.0: like, 0.0: unlike}


def test_a_label_is_needed() -> None:
    with pytest.raises(Wrong, match="does not say what the label of a row is"):
        Setfit.needs(options_of(Setfit, text=ONE["text"]), None)


def facts_of(training: Training) -> dict[str, Any]:
    return json.loads((training.folder / "training.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Training:
    return trained(Setfit, tmp_path_factory.mktemp("critic"), REVIEWS, eval_rows=UNSEEN, **ONE, **QUICK)


@pytest.mark.slow
@needs_minilm
def test_it_learns_from_four_rows(critic: Training) -> None:
    facts = facts_of(critic)
    assert (facts["rows"], facts["pairs"], facts["labels"]) == (4, 12, ["bad", "good"])
    assert (facts["eval_accuracy"], facts["eval_f1"]) == (1.0, 1.0)
    assert "12 pairs of 4 rows" in critic.lines


@pytest.mark.slow
@needs_minilm
def test_the_head_reads_the_vectors_of_the_model(critic: Training) -> None:
    import joblib
    from sentence_transformers import SentenceTransformer

    head = joblib.load(critic.folder / "model_head.pkl")
    names = json.loads((critic.folder / "config_setfit.json").read_text())["labels"]
    vectors = SentenceTransformer(str(critic.folder)).encode([row["review"] for row in UNSEEN])
    assert [names[place] for place in head.predict(vectors)] == ["good", "bad"]


@pytest.mark.slow
@needs_minilm
def test_the_package_setfit_opens_it(critic: Training) -> None:
    setfit = pytest.importorskip("setfit")
    model = setfit.SetFitModel.from_pretrained(str(critic.folder))
    assert list(model.predict([row["review"] for row in UNSEEN])) == ["good", "bad"]


@pytest.mark.slow
@needs_minilm
def test_equal_inputs_give_equal_bytes(critic: Training, tmp_path: Path) -> None:
    again = trained(Setfit, tmp_path, REVIEWS, eval_rows=UNSEEN, **ONE, **QUICK)
    assert digests(again.folder) == digests(critic.folder)


@pytest.mark.slow
@needs_minilm
def test_a_row_may_have_several_labels_or_none(tmp_path: Path) -> None:
    training = trained(Setfit, tmp_path, REVIEWS, eval_rows=REVIEWS, **SEVERAL, **QUICK, max_steps=6)
    assert facts_of(training)["labels"] == ["joy", "long"]
    assert facts_of(training)["eval_f1"] > 0.5


@pytest.mark.slow
@needs_minilm
@pytest.mark.parametrize(
    ("rows", "given", "code"),
    [
        ([], ONE, "empty-dataset"),
        (REVIEWS[:1], ONE, "one-label"),
        (REVIEWS, ONE | {"label": Template("{{ tags }}")}, "several-labels"),
        (REVIEWS, ONE | {"eval_rows": [{"review": "Hm.", "mood": "godo"}]}, "unknown-label"),
        (REVIEWS, ONE | {"base": Path("/nowhere/at/all")}, "no-such-model"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_words(
    tmp_path: Path, rows: list[dict[str, Any]], given: dict[str, Any], code: str
) -> None:
    with pytest.raises(DreamError) as error:
        trained(Setfit, tmp_path, rows, **given)
    assert error.value.diagnostics[0].code == code
