"""The engine `classifier`, with a small real model whose head is one of chance, and the step `classify` with it."""

from __future__ import annotations

import json
import queue
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Answer, Ask, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.models.classifier import Classifier
from tests.support.minilm import MINILM, needs_minilm
from tests.support.project import Project

pytestmark = [pytest.mark.slow, needs_minilm]

TEXTS = ["A joy from start to end.", "Dull.", "word " * 2000, "🦦", "A joy from start to end."]
NAMES = ["bad", "good", "odd"]


def model_in(folder: Path, **config: Any) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_pretrained(
        MINILM,
        num_labels=3,
        id2label=dict(enumerate(NAMES)),
        label2id={name: n for n, name in enumerate(NAMES)},
        **config,
    )
    torch.nn.init.normal_(model.classifier.weight, std=0.3)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(MINILM).save_pretrained(folder)
    return model.eval()


def logits_of(model: Any, text: str) -> Any:
    import torch
    from transformers import AutoTokenizer

    read = AutoTokenizer.from_pretrained(MINILM)(text, truncation=True, max_length=512, return_tensors="pt")
    with torch.inference_mode():
        return model(**read).logits[0]


def answers_of(folder: Path, texts: list[str], **options: Any) -> list[Answer]:
    engine = Classifier(ModelSpec("m", "mood", "classifier", options), EngineContext(folder.joinpath))
    came: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()
    for number, text in enumerate(texts):
        ask = Ask(Request(({"role": "user", "content": text},)), seed=0)
        engine.submit(ask, lambda answer, number=number: came.put((number, answer)))  # type: ignore[misc]
    found = dict(came.get(timeout=60) for _ in texts)
    engine.close()
    return [found[number] for number in range(len(texts))]


def test_it_says_what_the_model_says(tmp_path: Path) -> None:
    model = model_in(tmp_path / "mood")
    answers = answers_of(tmp_path, TEXTS, batch_size=2)
    for text, answer in zip(TEXTS, answers, strict=True):
        scores = logits_of(model, text).softmax(0)
        said = json.loads(answer.text or "")
        assert said == {"label": NAMES[int(scores.argmax())], "score": pytest.approx(float(scores.max()), abs=1e-4)}
    assert len({json.loads(answer.text or "")["label"] for answer in answers}) > 1


def test_several_labels_are_those_from_one_half_on(tmp_path: Path) -> None:
    model = model_in(tmp_path / "mood", problem_type="multi_label_classification")
    for text, answer in zip(TEXTS, answers_of(tmp_path, TEXTS), strict=True):
        scores = dict(zip(NAMES, logits_of(model, text).sigmoid().tolist(), strict=True))
        said = json.loads(answer.text or "")
        assert sorted(said["label"]) == sorted(name for name, score in scores.items() if score >= 0.5)


def test_a_model_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mood").symlink_to(MINILM)
    with pytest.raises(DreamError, match="not-a-classifier"):
        answers_of(tmp_path, TEXTS[:1])


def test_the_step_writes_labels_and_scores_and_asks_for_each_text_once(tmp_path: Path) -> None:
    model = model_in(tmp_path / "models/mood")
    project = Project(tmp_path).write(
        """
        model mood: "models/mood"
            engine: "classifier"

        rule all:
            output: "data/moods"
            load: "texts.csv"
            classify mood:
                model: mood
                text: "{{ text }}"
                score: "sure"
        """
    )
    project.file("texts.csv", "text\n" + "\n".join(json.dumps(text) for text in [*TEXTS, ""]) + "\n")
    assert "4 prompts to run" in project.ok("-n").out
    project.ok()
    rows = project.rows("data/moods")
    assert (rows[5]["mood"], rows[5]["sure"]) == (None, None)
    assert rows[0]["mood"] == rows[4]["mood"] == NAMES[int(logits_of(model, TEXTS[0]).argmax())]
    assert 0.3 < rows[0]["sure"] <= 1
    assert project.built() == []
    project.edit("score: ", 'labels: ["good", "bad"]\n        score: ')
    assert "`labels` is for a model that is asked" in project.run("-n").err


def test_a_model_that_was_trained_labels_new_rows(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        f"""
        model critic: "models/critic"
            engine: "classifier"

        rule reviews:
            output: "data/reviews"
            rows: [{{"text": "good", "mood": "glad"}}, {{"text": "bad", "mood": "sad"}}]

        rule critic:
            input: "data/reviews"
            output: "models/critic"
            train classifier:
                base: "{MINILM}"
                text: "{{{{ text }}}}"
                label: "{{{{ mood }}}}"
                max_steps: 30
                learning_rate: 0.0005

        rule all:
            input: "data/reviews"
            output: "data/moods"
            classify found:
                model: critic
                text: "{{{{ text }}}}"
        """
    )
    project.ok()
    assert [row["found"] for row in project.rows("data/moods")] == ["glad", "sad"]
