"""Fine-tuning of a hosted model, by OpenAI's REST interface."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.hosted_model import HostedModel, hosted_in
from dreammake.core.options import Choice, Float, Int, Option, OptionSet, Str, Text, Texts, Wrong
from dreammake.core.options import Path as PathOption
from dreammake.core.rows import Rows
from dreammake.core.secrets import SECRETS
from dreammake.core.step import Columns
from dreammake.core.trainer import Trainer, Training
from dreammake.trainers._examples import ROW, Row, Unlearnable, chat, examples_of, messages_renderer, renderer
from dreammake.trainers._hosted.api import FineTuningAPI, endpoint_of
from dreammake.trainers._hosted.job import Examples, Kept, begun, waited_for
from dreammake.trainers._model_folder import write_log

_SHAPES = ({"prompt", "completion"}, {"messages"})
_PREFERENCES = {"prompt", "chosen", "rejected"}
_LONGEST_SUFFIX = 64


class OrAuto(Option[Any]):
    """A number above 0, or "auto": then the endpoint chooses."""

    def __init__(self, doc: str, *, whole: bool, **kwargs: Any) -> None:
        super().__init__(doc, default="auto", **kwargs)
        self.whole = whole

    @property
    def takes(self) -> str:  # type: ignore[override]
        return f'"auto", or a {"whole " if self.whole else ""}number above 0'

    def read(self, value: Any) -> Any:
        if value == "auto":
            return value
        kinds = int if self.whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds) or value <= 0:
            raise self.wrong(value)
        return value


class OpenAI(Trainer):
    """Fine-tunes a model that OpenAI hosts, or any endpoint with OpenAI's interface for it.

    Each row is a prompt with its completion, or a chat (`messages`); with `method: "dpo"` a prompt with a `chosen`
    and a `rejected` answer. They are uploaded, a job is begun, and the build waits for it, with its loss and its
    messages in the log. The ids of files and job are kept: a build that was killed or interrupted goes on waiting for
    the same job, and uploads nothing twice. After Ctrl-C the job runs on at the endpoint, and costs what it costs.

    The result is a small folder, which names the model: `hosted_model.json`. In the next rule it is a model like any
    other, `model tuned: "models/tuned"`, or the `base` of the next fine-tuning.
    """

    hosted = True
    paper = "TrainOpenAIFineTune"
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
    train openai:
        base: "gpt-4o-mini-2024-07-18"
        prompt: "The plural of {{ word }}?"
        completion: "{{ plural }}"
        n_epochs: 3
"""

    class Options(OptionSet):
        base = PathOption("The model to start from: the endpoint's name for it, or a folder that `train openai` made.")
        prompt = Text("What the model is given.", default=None)
        completion = Text("What it learns to answer.", default=None)
        messages = Texts(
            "A whole chat, a list of role and content; or `{{ column }}`, a column that holds one.", default=None
        )
        chosen = Text("The better answer, for `dpo`.", default=None)
        rejected = Text("The worse answer, for `dpo`.", default=None)
        system = Text("The system prompt of each chat.", default=None)
        method = Choice("How it learns: from examples, or from preferences.", "supervised", "dpo", default="supervised")
        n_epochs = OrAuto("How often it sees each example.", whole=True, unit="epochs")
        batch_size = OrAuto("Examples of a step.", whole=True, unit="examples")
        learning_rate_multiplier = OrAuto("Scales the endpoint's learning rate.", whole=False)
        beta = OrAuto("How much `dpo` holds on to the model it started from.", whole=False)
        suffix = Str(f"A word in the new model's name, {_LONGEST_SUFFIX} letters at most.", default=None)
        seed = Int("Seed of the training.", default=None)
        base_url = Str(
            "The endpoint, up to and with `/v1`; else OPENAI_BASE_URL, or OpenAI's own.",
            default=None,
        )
        api_key = Str(
            'The key; else OPENAI_API_KEY. Write env("NAME") to keep it out of the Dreamfile.',
            default=None,
            result=False,
        )
        poll_every = Float("Time between two looks at the job.", unit="s", default=10.0, at_least=0, result=False)
        timeout = Float("Longest wait for one reply.", unit="s", default=600.0, result=False)
        patience = Float(
            "For how long an endpoint that does not answer is asked again.",
            unit="s",
            default=3600.0,
            at_least=0,
            result=False,
        )

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        """One shape of data: prompt and completion, or messages; for `dpo` prompt, chosen and rejected."""
        shapes = (_PREFERENCES,) if options["method"] == "dpo" else _SHAPES
        names = ("prompt", "completion", "messages", "chosen", "rejected")
        given = {name for name in names if options[name] is not None}
        if given not in shapes:
            wanted = " or ".join(_listed(sorted(shape, key=names.index)) for shape in shapes)
            said = f"has {_listed(sorted(given, key=names.index))}" if given else "does not say what it learns from"
            code = "conflicting-options" if any(given > shape for shape in shapes) else "missing-option"
            raise Wrong(f"`train openai` {said}: it takes {wanted}", f"say {wanted}, and nothing else of these", code)
        if options["method"] != "dpo" and options["beta"] != "auto":
            raise Wrong("`beta` is for preferences only", 'leave it out, or say `method: "dpo"`', "conflicting-options")
        if len(options["suffix"] or "") > _LONGEST_SUFFIX:
            raise Wrong(f"`suffix` has {_LONGEST_SUFFIX} letters at most", "shorten it", "out-of-range")

    def run(self, options: Any, training: Training) -> None:
        SECRETS.add(options.api_key, "key(train openai)", "api_key")
        base_url, key = endpoint_of(options.base_url, options.api_key)
        api = FineTuningAPI(base_url, key, options.timeout, options.patience, training.say)
        body = _body(options, _model_of(training.base, options.base))
        examples = {"training_file": _written(options, training.train, "train", training)}
        if training.eval is not None:
            examples["validation_file"] = _written(options, training.eval, "eval", training)
        digests = {role: made.digest for role, made in examples.items()}
        kept = Kept.at(training.checkpoints, {"endpoint": api.base_url, "body": body, "examples": digests})
        job = begun(api, kept, examples, body, training)
        found, log = waited_for(api, kept, job, options.poll_every, training)
        HostedModel(found["fine_tuned_model"], api.base_url).write(training.folder)
        facts = {"base": body["model"], "rows": examples["training_file"].count, **_facts(found, log)}
        write_log(log, training.folder, "openai", options, facts, libraries=())


def _facts(job: Mapping[str, Any], log: list[dict[str, Any]]) -> dict[str, Any]:
    """What the endpoint tells of a job that has succeeded: what it made, with what it chose itself, and how it went."""
    method = job.get("method") or {}
    chosen = (method.get(method.get("type")) or {}).get("hyperparameters")
    measured = {name: value for entry in log for name, value in entry.items() if name in ("loss", "eval_loss")}
    return {
        "model": job["fine_tuned_model"],
        "job": job["id"],
        "trained_tokens": job.get("trained_tokens"),
        "hyperparameters": chosen,
        "steps": log[-1]["step"] if log else None,
        **measured,
    }


def _listed(names: list[str]) -> str:
    *before, last = [f"`{name}`" for name in names]
    return f"{', '.join(before)} and {last}" if before else last


def _model_of(base: str | Path, shown: str) -> str:
    """The endpoint's name of the base model: the one that a folder holds, where it is a folder."""
    if isinstance(base, str):
        return base.removeprefix("openai/")
    hosted = hosted_in(base)
    if hosted is None:
        fail(
            "not-a-hosted-model",
            f"the base model {shown} is a folder of this machine, and an endpoint cannot train it",
            hint="take an endpoint's name of a model, or a folder that `train openai` made; or train it by `train sft`",
            exit_code=1,
        )
    return hosted.model


def _body(options: Any, model: str) -> dict[str, Any]:
    """The request for a job, but for its files."""
    names = ("n_epochs", "batch_size", "learning_rate_multiplier", *(["beta"] if options.method == "dpo" else []))
    hyperparameters = {name: options[name] for name in names}
    body: dict[str, Any] = {"model": model}
    body["method"] = {"type": options.method, options.method: {"hyperparameters": hyperparameters}}
    return body | {name: options[name] for name in ("suffix", "seed") if options[name] is not None}


def _written(options: Any, rows: Rows, name: str, training: Training) -> Examples:
    """The examples of a dataset as OpenAI reads them, a line each. Raises DreamError where there are none."""
    file, digest, count = training.checkpoints / f"{name}.jsonl", hashlib.sha256(), 0
    with file.open("wb") as written:
        for example in examples_of(rows, _example_of(options, rows.columns), training, "openai"):
            example.pop(ROW, None)
            line = json.dumps(example, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            digest.update(line)
            written.write(line)
            count += 1
    if not count:
        fail(
            "empty-dataset",
            f"the `{name}` dataset has no rows, so there is nothing to learn from",
            hint="look at the rule that makes it: a filter may drop every row",
            exit_code=1,
        )
    return Examples(file, digest.hexdigest(), count)


def _example_of(options: Any, columns: Columns) -> Callable[[Row], dict[str, Any]]:
    """What makes an example of a row. It raises `Unlearnable` where an answer is empty."""
    texts = ("system", "prompt", "completion", "chosen", "rejected")
    render = {name: renderer(options[name], columns) for name in texts}
    messages = messages_renderer(options.messages, columns)

    def asked(row: Row) -> list[dict[str, str]]:
        return chat(render["system"](row), user=render["prompt"](row))

    def answer(name: str, row: Row) -> list[dict[str, str]]:
        text = render[name](row)
        if not text.strip():
            raise Unlearnable("empty-answer", f"its `{name}` is empty, so there is nothing to learn")
        return chat(None, assistant=text)

    if options.method == "dpo":
        return lambda row: {
            "input": {"messages": asked(row)},
            "preferred_output": answer("chosen", row),
            "non_preferred_output": answer("rejected", row),
        }
    if options.messages is not None:
        return lambda row: {"messages": chat(render["system"](row)) + list(messages(row))}
    return lambda row: {"messages": asked(row) + answer("completion", row)}
