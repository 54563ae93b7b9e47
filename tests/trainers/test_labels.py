"""Labels: which a row has, their order, and the measures of a classifier."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dreammake.core.diagnostic import DreamError
from dreammake.trainers._labels import check_enough, check_known, names_in, scores, scores_of_logits

PAIRS_OF_MATRICES = st.tuples(st.integers(1, 12), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([["b"], ["a"], ["b"]], ("a", "b")),
        ([["10"], ["9"], ["-1"]], ("-1", "9", "10")),
        ([["10"], ["9"], ["x"]], ("10", "9", "x")),
        ([[], []], ()),
    ],
)
def test_labels_are_in_order(labels: list[list[str]], names: tuple[str, ...]) -> None:
    assert names_in(labels) == names


@settings(deadline=None)  # the first one imports scikit-learn
@given(PAIRS_OF_MATRICES)
def test_the_measures_are_those_of_scikit_learn(matrices: Any) -> None:
    from sklearn.metrics import accuracy_score, f1_score

    true, guessed = matrices
    found = scores(true, guessed)
    assert found["accuracy"] == pytest.approx(
        accuracy_score(true, guessed) if true.shape[1] > 1 else (true == guessed).mean()
    )
    occurring = [place for place in range(true.shape[1]) if (true | guessed)[:, place].any()]
    each = [f1_score(true[:, place], guessed[:, place]) for place in occurring]
    assert found["f1"] == pytest.approx(numpy.mean(each) if each else 0.0)


def prediction(logits: Any, true: Any) -> Any:
    """As a transformers Trainer gives it."""
    return SimpleNamespace(predictions=logits, label_ids=numpy.array(true))


def test_the_guess_is_the_greatest_number_or_every_positive_one() -> None:
    logits = numpy.array([[2.0, 1.0, -1.0], [-3.0, -2.0, -1.0]])
    one = scores_of_logits(several=False)(prediction(logits, [0, 1]))
    assert one == {"accuracy": 0.5, "f1": pytest.approx(1 / 3)}
    several = scores_of_logits(several=True)(prediction(logits, [[1.0, 1, 0], [0, 0, 1]]))
    assert several == {"accuracy": 0.5, "f1": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("names", "several", "message"),
    [
        (("good",), False, "every row has the label `good`, so there is nothing to tell apart"),
        ((), True, "no row has a label, so there is nothing to tell apart"),
    ],
)
def test_nothing_to_tell_apart(names: tuple[str, ...], several: bool, message: str) -> None:
    with pytest.raises(DreamError) as error:
        check_enough(names, several=several)
    assert error.value.diagnostics[0].code == "one-label"
    assert error.value.diagnostics[0].message == message


def test_an_unknown_label_gets_the_nearest_one() -> None:
    with pytest.raises(DreamError) as error:
        check_known([["good"], ["bda"]], ("bad", "good"), "the training set")
    found = error.value.diagnostics[0]
    assert found.message == "the training set has no label `bda`: it has `bad`, `good`"
    assert found.hint == "did you mean `bad`?"
