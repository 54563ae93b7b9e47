"""Classifiers of texts, run in this process by Transformers: for the step `classify`."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail, first_line
from dreammake.core.engine import Answer, Ask, EngineContext, Failure
from dreammake.core.options import Bool, Choice, Int, OptionSet, Str
from dreammake.core.values import ModelSpec
from dreammake.models._local_model import content_of, is_out_of_memory, opening, source_of

Done = Callable[[Answer], None]
Asked = tuple[Ask, Done]

BATCHES_AHEAD = 4
"""How many batches of texts are drawn, to be sorted by length."""
_NO_LIMIT = 1 << 30


class Classifier:
    """Tells the label of a text with a classifier of Transformers, for the step `classify`: a folder (a target that
    `train classifier` makes, say), or a name on the Hub.

    It reads the last message of a request and answers with a JSON object of the `label` and its `score`, which is
    between 0 and 1. A model for which a text may have several labels answers with the list of those that score 0.5 or
    more as `label`, and the highest score. Texts are read in batches of similar length; one that is longer than the
    model reads is cut.
    """

    version = 1
    heavy = True
    classifies = True
    samples = False

    class Options(OptionSet):
        dtype = Choice(
            "Type of the weights; `auto` is what the model was saved in.",
            "auto",
            "float32",
            "bfloat16",
            "float16",
            default="auto",
        )
        max_length = Int("Longer texts are cut; None: what the model reads.", unit="tokens", default=None, at_least=1)
        revision = Str("Branch, tag or commit on the Hub.", default=None)
        trust_remote_code = Bool("Run code that comes with the model.", default=False)
        batch_size = Int("Texts of a batch.", unit="texts", default=32, at_least=1, result=False)
        device = Str("Where it runs: cpu, cuda, cuda:1, mps; by default the best there is.", default=None, result=False)

    window = 32 * BATCHES_AHEAD

    @staticmethod
    def weights(spec: ModelSpec, path: Callable[[str], Path]) -> Path | None:
        return content_of(spec, path)

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        options = self.Options(spec.options)
        self._batch = options.batch_size
        self.window = self._batch * BATCHES_AHEAD
        with opening(spec):
            from transformers import AutoConfig, pipeline

            source = source_of(spec.model, context)
            shared = {"revision": options.revision, "trust_remote_code": options.trust_remote_code}
            config = AutoConfig.from_pretrained(source, **shared)
            _check_head(config, spec)
            self._pipeline: Any = pipeline(
                "text-classification", source, device=options.device, dtype=options.dtype, **shared
            )
        self._several = config.problem_type == "multi_label_classification"
        self._longest = min(options.max_length or _NO_LIMIT, _context_of(config, self._pipeline.tokenizer))
        self._arrived: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="classifier", daemon=True)
        self._thread.start()

    def submit(self, ask: Ask, done: Done) -> None:
        self._arrived.put((ask, done))

    def close(self) -> None:
        """Answer what has arrived, and free the model's memory."""
        self._arrived.put(None)
        self._thread.join()
        del self._pipeline

    def _serve(self) -> None:
        more = True
        while more:
            waiting = [self._arrived.get()]
            while len(waiting) < self.window and waiting[-1] is not None and not self._arrived.empty():
                waiting.append(self._arrived.get())
            more = waiting[-1] is not None
            asked = sorted(filter(None, waiting), key=lambda one: -len(_text_of(one[0])))
            for at in range(0, len(asked), self._batch):
                self._answer(asked[at : at + self._batch])

    def _answer(self, batch: Sequence[Asked]) -> None:
        """Answer a batch; where memory ends, its halves."""
        try:
            answers = self._classify([_text_of(ask) for ask, _ in batch])
        except Exception as error:  # whatever a library, or a model's own code, raises
            if is_out_of_memory(error) and len(batch) > 1:
                half = self._batch = len(batch) // 2
                for part in (batch[:half], batch[half:]):
                    self._answer(part)
                return
            failure = Failure("engine-failed", f"the classifier failed: {first_line(error)}", fatal=True)
            answers = [Answer(None, "error", error=failure)] * len(batch)
        for (_, done), answer in zip(batch, answers, strict=True):
            done(answer)

    def _classify(self, texts: list[str]) -> list[Answer]:
        """All labels of each text come with their scores, the highest first."""
        found = self._pipeline(texts, batch_size=len(texts), truncation=True, max_length=self._longest, top_k=None)
        return [Answer(json.dumps(self._said(scores), ensure_ascii=False)) for scores in found]

    def _said(self, scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        label: Any = scores[0]["label"]
        if self._several:
            label = [one["label"] for one in scores if one["score"] >= 0.5]
        return {"label": label, "score": round(scores[0]["score"], 6)}


def _check_head(config: Any, spec: ModelSpec) -> None:
    """A model that was trained for something else would get a head of chance, and tell labels of chance."""
    if not any(name.endswith("ForSequenceClassification") for name in config.architectures or ()):
        made_for = ", ".join(config.architectures or ["nothing that it names"])
        message = f'the model `{spec.name}`, "{spec.model}", is no classifier: it was made for {made_for}'
        hint = "train one with `train classifier`, or take one for text classification from the Hub"
        fail("not-a-classifier", message, hint=hint, exit_code=1)


def _text_of(ask: Ask) -> str:
    return str(ask.request.messages[-1].get("content", ""))


def _context_of(config: Any, tokenizer: Any) -> int:
    """How many tokens the model reads."""
    places = getattr(config.get_text_config(), "max_position_embeddings", None) or _NO_LIMIT
    return int(min(places, tokenizer.model_max_length))
