"""Models of the Hugging Face Hub, and those that `train` makes, run in this process by Transformers."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import first_line
from dreammake.core.engine import Answer, Ask, EngineContext, Failure, ModelOptions
from dreammake.core.fingerprint import canonical
from dreammake.core.options import Anything, Bool, Choice, Int, Str
from dreammake.core.options import Path as PathOption
from dreammake.core.values import NOTHING, ModelSpec
from dreammake.models._completion import read_completion
from dreammake.models._local_model import content_of, is_out_of_memory, open_chat_model
from dreammake.models._rows import Ends, Row, Sampler, ended_text, row_of

BATCH = 64
"""Requests of a batch where nothing is said."""
BATCHES_AHEAD = 8
"""How many batches of requests are drawn, to be sorted by length."""
GATHER = 0.01
"""Seconds without a new request after which a batch that is not full begins."""
_LONGEST = 4096
"""Tokens of an answer where neither `max_tokens` nor the model sets a limit."""
_OF_ROWS = frozenset({"top_k", "min_p"})
"""Fields of `extra` that each row has for itself; the others are arguments of `generate`."""

Done = Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request as the model reads it, with what it is to be continued by."""

    ids: Sequence[int]
    row: Row
    extra: Mapping[str, Any]
    done: Done


class Transformers:
    """Runs a model folder or a model of the Hub with Transformers; `"smollm2"` is the embedded SmolLM2-135M-Instruct.

    The model is a folder (a target that `train` makes, say: a whole model or an adapter, whose base is then loaded
    too), or a name on the Hub. Requests are answered in batches of similar length. A batch that does not fit into
    memory is halved, and so are those after it.

    An answer depends on its own request and seed, not on the batch: each row samples with random numbers of its own.
    In float32 the rounding that a batch changes is too small to show (on a CPU, 16 prompts of 40 to 90 tokens were
    answered the same alone and together). In bfloat16 it is not: 9 of those 16 answers were others, even at
    temperature 0. Say `dtype: "float32"`, or `batch_size: 1`, where every byte has to repeat.

    `extra` is for arguments of `generate` (`repetition_penalty`, `no_repeat_ngram_size`), and for `top_k` and `min_p`.
    Without a `temperature` the model's own generation settings count, or 1 where they do not sample.
    """

    version = 1
    window = BATCH
    heavy = True

    class Options(ModelOptions):
        dtype = Choice(
            "Type of the weights; `auto` is what the model was saved in.",
            "auto",
            "float32",
            "bfloat16",
            "float16",
            default="auto",
        )
        quantization = Choice("Weights in fewer bits, by bitsandbytes.", "nf4", "int8", default=None)
        adapter = PathOption("A PEFT adapter on the model: a folder, a target, a name on the Hub.", default=None)
        chat_template = PathOption("The chat template in place of the model's: a file, or its text.", default=None)
        revision = Str("Branch, tag or commit on the Hub.", default=None)
        trust_remote_code = Bool("Run code that comes with the model.", default=False)
        batch_size = Int(
            f"Most requests in a batch; by default `concurrency`, or {BATCH}.",
            unit="requests",
            default=None,
            at_least=1,
            result=False,
        )
        device = Str("Where it runs: cpu, cuda, cuda:1, mps; by default the best there is.", default=None, result=False)
        device_map = Anything('How the layers lie on several devices: "auto", or a dict.', default=None, result=False)

    @staticmethod
    def weights(spec: ModelSpec, path: Callable[[str], Path]) -> Path | None:
        return content_of(spec, path)

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        options = {name: option.default for name, option in self.Options.declared().items()} | dict(spec.options)
        self._spec = spec
        self._say = context.say
        self._model, self._tokenizer = open_chat_model(spec, options, context)
        self._rows = options["batch_size"] or options["concurrency"] or BATCH
        self.window = self._rows * BATCHES_AHEAD
        self._own = _own_settings(self._model)
        self._context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        self._arrived: deque[tuple[Ask, Done]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="transformers", daemon=True)
        self._thread.start()

    def submit(self, ask: Ask, done: Done) -> None:
        with self._changed:
            self._arrived.append((ask, done))
            self._changed.notify()

    def close(self) -> None:
        """End the batch under way, and free the model's memory."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._free()

    def _serve(self) -> None:
        while asked := self._gather():
            waiting = self._read(asked)
            waiting.sort(key=lambda one: (canonical(one.extra), -len(one.ids)))
            for batch in self._batches(waiting):
                if self._closed:
                    _fail(batch, Failure("interrupted", "the request was interrupted"))
                else:
                    self._answer(batch)

    def _gather(self) -> list[tuple[Ask, Done]]:
        """The requests that wait, at most a window of them; none once the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrived or self._closed)
            while len(self._arrived) < self._rows and not self._closed:
                before = len(self._arrived)
                self._changed.wait_for(lambda: len(self._arrived) >= self._rows or self._closed, GATHER)
                if len(self._arrived) == before:
                    break
            if self._closed:
                for _, done in self._arrived:
                    done(_failed(Failure("interrupted", "the request was interrupted")))
                self._arrived.clear()
            asked = list(self._arrived)
            self._arrived.clear()
            return asked

    def _batches(self, waiting: list[_Waiting]) -> Any:
        """Neighbours in length that go to `generate` with the same arguments."""
        first = 0
        while first < len(waiting):
            most = min(self._rows, self._rows_that_fit(waiting[first]))
            extra = waiting[first].extra
            last = first + 1
            while last < min(len(waiting), first + most) and waiting[last].extra == extra:
                last += 1
            yield waiting[first:last]
            first = last

    def _rows_that_fit(self, longest: _Waiting) -> int:
        """On a CPU nothing says that memory is full before the process is killed: so what is free is counted first."""
        if self._model.device.type != "cpu":
            return self._rows
        free = _free_memory()
        each = _bytes_a_token(self._model) * (len(longest.ids) + longest.row.limit)
        return self._rows if free is None else max(1, int(free / 2 / max(1, each)))

    def _read(self, asked: list[tuple[Ask, Done]]) -> list[_Waiting]:
        """Requests as the model reads them; one that it cannot read has its answer at once."""
        waiting = []
        for ask, done in asked:
            try:
                waiting.append(self._waiting(ask, done))
            except _Refused as refused:
                done(_failed(refused.failure))
            except Exception as error:  # a chat template may refuse the messages, in its own words
                done(_failed(Failure("bad-request", f"the request cannot be put to the model: {first_line(error)}")))
        return waiting

    def _waiting(self, ask: Ask, done: Done) -> _Waiting:
        options = self._own | {name: value for name, value in _options(self._spec, ask).items() if value is not None}
        extra = options.get("extra") or NOTHING
        ids = self._ids(ask.request.messages)
        room = _LONGEST if self._context is None else self._context - len(ids)
        limit = ask.max_tokens or room
        if room < 1 or limit > room:
            wanted = f" and `max_tokens` {ask.max_tokens}" if room >= 1 else ""
            message = f"the prompt has {len(ids)} tokens{wanted}, and the model takes {self._context} in all"
            hint = "shorten the prompt, lower `max_tokens`, or take a model with a longer context"
            raise _Refused(Failure("context-overflow", message, hint))
        row = row_of(options, extra, ask.seed, limit)
        return _Waiting(ids, row, {name: extra[name] for name in extra if name not in _OF_ROWS}, done)

    def _ids(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        tokenizer = self._tokenizer
        chat = [{**message, "content": _text_of(message.get("content"))} for message in messages]
        if not tokenizer.chat_template:
            return list(tokenizer("\n\n".join(message["content"] for message in chat)).input_ids)
        goes_on = chat[-1].get("role") == "assistant"
        text = tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=not goes_on, continue_final_message=goes_on
        )
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    def _answer(self, batch: list[_Waiting]) -> None:
        """Answer a batch; where memory ends, its halves, and from then on no larger batch is tried."""
        try:
            answers = self._generate(batch)
        except Exception as error:
            failure = self._failure(error, batch)
            if failure is not None:
                _fail(batch, failure)
                return
        else:
            for one, answer in zip(batch, answers, strict=True):
                one.done(answer)
            return
        half = len(batch) // 2
        self._free()
        self._say(f"a batch of {len(batch)} does not fit into memory: {half} from now on")
        self._rows = min(self._rows, half)
        for part in (batch[:half], batch[half:]):
            self._answer(part)

    def _failure(self, error: Exception, batch: list[_Waiting]) -> Failure | None:
        """What is told of an error; None where half of the batch may fit into memory."""
        if is_out_of_memory(error):
            if len(batch) > 1:
                return None
            hint = "lower `max_tokens`, shorten the prompt, or take a smaller `dtype` or a `quantization`"
            return Failure("out-of-memory", f"one request of {len(batch[0].ids)} tokens does not fit into memory", hint)
        if isinstance(error, ValueError | TypeError):
            hint = "look at the model's `extra`" if batch[0].extra else ""
            return Failure("bad-request", f"Transformers refuses the request: {first_line(error)}", hint)
        return Failure("engine-failed", f"Transformers failed: {first_line(error)}", fatal=True)

    def _generate(self, batch: list[_Waiting]) -> list[Answer]:
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        started = time.monotonic()
        model, rows = self._model, [one.row for one in batch]
        inputs = self._tokenizer.pad({"input_ids": [list(one.ids) for one in batch]}, return_tensors="pt")
        inputs = {name: inputs[name].to(model.device) for name in ("input_ids", "attention_mask")}
        begin = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        sampler = Sampler(rows, model.device)
        with torch.inference_mode():
            made = model.generate(
                **inputs,
                **batch[0].extra,
                max_new_tokens=max(row.limit for row in rows),
                pad_token_id=self._tokenizer.pad_token_id,
                logits_processor=LogitsProcessorList([] if sampler.idle else [sampler]),
                stopping_criteria=StoppingCriteriaList([Ends(rows, self._tokenizer, begin, lambda: self._closed)]),
            )
        if self._closed:
            return [_failed(Failure("interrupted", "the request was interrupted"))] * len(batch)
        seconds = time.monotonic() - started
        new = made[:, begin:].tolist()
        return [self._answer_of(one, ids, seconds) for one, ids in zip(batch, new, strict=True)]

    def _answer_of(self, one: _Waiting, ids: list[int], seconds: float) -> Answer:
        text, why, tokens = ended_text(ids, one.row, self._own["ends"], self._tokenizer)
        reply = {
            "choices": [{"message": {"content": text}, "finish_reason": why}],
            "usage": {"prompt_tokens": len(one.ids), "completion_tokens": tokens},
        }
        answer = read_completion(reply, seconds)
        assert answer is not None
        return answer

    def _free(self) -> None:
        import gc

        import torch

        if self._closed:
            del self._model
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class _Refused(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _own_settings(model: Any) -> dict[str, Any]:
    """The sampling that the model's folder asks for, and its tokens that end an answer. `generate` itself is then set
    to take the greatest score: it is `Sampler` that samples."""
    own = model.generation_config
    ends = own.eos_token_id
    settings: dict[str, Any] = {
        "temperature": (own.temperature or 1.0) if own.do_sample else 1.0,
        "top_p": own.top_p if own.do_sample else None,
        "extra": {"top_k": own.top_k} if own.do_sample and own.top_k else {},
        "ends": frozenset([ends] if isinstance(ends, int) else ends or ()),
    }
    own.do_sample, own.num_beams = False, 1
    own.temperature = own.top_p = own.top_k = own.min_p = own.max_length = None
    return settings


def _options(spec: ModelSpec, ask: Ask) -> Mapping[str, Any]:
    return spec.options if ask.options is None else ask.options or NOTHING


def _text_of(content: Any) -> str:
    """The text of a message; of one that is in parts, its text parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _bytes_a_token(model: Any) -> int:
    """Memory that one token of one row takes in the cache of keys and values."""
    config: Any = model.config.get_text_config()
    heads = int(config.num_attention_heads)
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    return int(2 * config.num_hidden_layers * kept * size * model.dtype.itemsize)


def _free_memory() -> int | None:
    """Bytes, where the system says so."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _fail(batch: list[_Waiting], failure: Failure) -> None:
    for one in batch:
        one.done(_failed(failure))


def _failed(failure: Failure) -> Answer:
    return Answer(None, "error", error=failure)
