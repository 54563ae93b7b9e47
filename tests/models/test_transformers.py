"""Transformers with the real SmolLM2: whole, and its first four layers where only the mechanics count."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.asking import asker_in, engine_of
from support.project import Project
from support.small_model import small_model

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Answer, Ask, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.models.transformers import Transformers
from dreammake.run.request_key import TO_BE_BUILT, use_for
from dreammake.store.file_digests import FileDigests

PROMPTS = [
    "What is the capital of France?",
    "Name a colour.",
    "Continue: " + "river stone letter music " * 20,
    "Tell me a short story about a cat.",
    "What is 2 + 2?",
    "Write one line about rain in the mountains, and one about the sea in winter.",
]


def small(**options: Any) -> ModelSpec:
    return ModelSpec("small", str(small_model()), "transformers", options)


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    made: list[Transformers] = []

    def make(spec: ModelSpec, say: Callable[[str], None] = print) -> Transformers:
        made.append(Transformers(spec, EngineContext(tmp_path.joinpath, say=say)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def answers(engine: Transformers, prompts: Sequence[str | Request], *, seed: int = 5, **options: Any) -> list[Answer]:
    """Submit all at once, and wait for the answers."""
    found: dict[int, Answer] = {}
    came = threading.Semaphore(0)

    def done(number: int, answer: Answer) -> None:
        found[number] = answer
        came.release()

    for number, prompt in enumerate(prompts):
        request = prompt if isinstance(prompt, Request) else Request(({"role": "user", "content": prompt},))
        ask = Ask(request, seed=seed + number, max_tokens=options.get("max_tokens"), options=options)
        engine.submit(ask, lambda answer, number=number: done(number, answer))
    for _ in prompts:
        assert came.acquire(timeout=100)
    return [found[number] for number in range(len(prompts))]


def texts(found: list[Answer]) -> list[str | None]:
    return [answer.text for answer in found]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 1.0}, {"temperature": 0.8, "top_p": 0.9}])
def test_an_answer_depends_on_its_request_and_seed_only(engine: Any, options: dict[str, Any]) -> None:
    model = engine(ModelSpec("small", "smollm2", "transformers"))
    together = answers(model, PROMPTS, max_tokens=16, **options)
    alone = [
        answers(model, [prompt], seed=5 + number, max_tokens=16, **options)[0] for number, prompt in enumerate(PROMPTS)
    ]
    assert texts(together) == texts(alone)
    assert [answer.prompt_tokens for answer in together] == [answer.prompt_tokens for answer in alone]
    if options["temperature"]:
        assert texts(answers(model, PROMPTS, seed=99, max_tokens=16, **options)) != texts(together)
    else:
        assert "Paris" in (together[0].text or "")


@pytest.mark.slow
def test_likeliest_tokens_are_those_of_generate(engine: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = small_model()
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    chats = [[{"role": "user", "content": prompt}] for prompt in PROMPTS]
    written = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    inputs = tokenizer(written, return_tensors="pt", padding=True, add_special_tokens=False)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    made = model.generate(**inputs, do_sample=False, max_new_tokens=12)
    expected = tokenizer.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert texts(answers(engine(small()), PROMPTS, temperature=0, max_tokens=12)) == expected


@pytest.mark.slow
def test_requests_of_one_batch_end_each_by_its_own_limit_and_stop(engine: Any) -> None:
    model = engine(ModelSpec("small", "smollm2", "transformers"))
    whole, *_ = answers(model, ["Count from one to ten in words."], temperature=0, max_tokens=40)
    assert whole.finish_reason in ("stop", "length")
    short, *_ = answers(model, ["Count from one to ten in words."], temperature=0, max_tokens=3)
    assert (short.finish_reason, short.completion_tokens) == ("length", 3)
    assert whole.text is not None
    assert short.text is not None
    assert whole.text.startswith(short.text)
    stop = whole.text[5:8]
    ended, other = answers(
        model, ["Count from one to ten in words.", "Name a colour."], temperature=0, max_tokens=40, stop=[stop]
    )
    assert (ended.text, ended.finish_reason) == (whole.text[: whole.text.index(stop)], "stop")
    assert (ended.completion_tokens or 0) < (whole.completion_tokens or 0)
    assert other.text


@pytest.mark.slow
def test_options_of_sampling_do_what_they_say(engine: Any) -> None:
    model = engine(small())
    greedy = texts(answers(model, PROMPTS, temperature=0, max_tokens=8))
    assert texts(answers(model, PROMPTS, temperature=1.0, extra={"top_k": 1}, max_tokens=8)) == greedy
    assert texts(answers(model, PROMPTS, temperature=1.0, top_p=0.0, max_tokens=8)) == greedy
    assert texts(answers(model, PROMPTS, temperature=1.0, extra={"min_p": 1.0}, max_tokens=8)) == greedy
    assert texts(answers(model, PROMPTS, temperature=1.0, max_tokens=8)) != greedy
    penalised = answers(model, PROMPTS[2:3], temperature=0, max_tokens=24, frequency_penalty=100.0)[0].text or ""
    words = penalised.split()
    assert len(words) == len(set(words))
    refused = answers(model, PROMPTS[:1], temperature=0, max_tokens=8, extra={"repetition": 2})[0]
    assert refused.error is not None
    assert "repetition" in refused.error.message
    assert not refused.error.fatal


@pytest.mark.slow
def test_samples_have_the_models_distribution() -> None:
    import torch

    from dreammake.models._rows import Row, Sampler

    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    rows = [Row(seed=seed, limit=1, temperature=0.7) for seed in range(4000)]
    picked = Sampler(rows, logits.device)(torch.zeros(4000, 1, dtype=torch.long), logits.repeat(4000, 1)).argmax(-1)
    shares = torch.bincount(picked, minlength=4) / 4000
    assert torch.allclose(shares, (logits / 0.7).softmax(-1), atol=0.03)


@pytest.mark.slow
def test_a_prompt_that_is_too_long_fails_alone(engine: Any) -> None:
    model = engine(small())
    good, long, greedy = answers(model, ["Hi.", "word " * 9000, "Hi."], temperature=0, max_tokens=4)
    assert good.text == greedy.text is not None
    assert long.error is not None
    assert (long.error.code, long.error.fatal) == ("context-overflow", False)
    assert "8192" in long.error.message
    (over,) = answers(model, ["Hi."], temperature=0, max_tokens=9000)
    assert over.error is not None
    assert over.error.code == "context-overflow"


@pytest.mark.slow
def test_a_chat_template_of_ones_own(engine: Any, tmp_path: Path) -> None:
    template = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}"
    (tmp_path / "chat.jinja").write_text(template)
    by_file, by_text = engine(small(chat_template="chat.jinja")), engine(small(chat_template=template))
    found = [answers(model, PROMPTS[:2], temperature=0, max_tokens=6) for model in (by_file, by_text)]
    assert texts(found[0]) == texts(found[1])
    usual = answers(engine(small()), PROMPTS[:2], temperature=0, max_tokens=6)
    assert found[0][0].prompt_tokens != usual[0].prompt_tokens


@pytest.mark.slow
@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_quantized_models_answer(engine: Any, quantization: str) -> None:
    model = engine(ModelSpec("small", "smollm2", "transformers", {"quantization": quantization}))
    (answer,) = answers(model, ["What is the capital of France?"], temperature=0, max_tokens=12)
    assert "Paris" in (answer.text or "")


def adapter_in(folder: Path) -> Path:
    """A LoRA adapter of the small model that changes what it says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(small_model())
    config = LoraConfig(r=4, task_type="CAUSAL_LM", init_lora_weights=False, target_modules=["q_proj", "v_proj"])
    model = get_peft_model(base, config)
    model.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_an_adapter_is_an_option_or_the_model_itself(engine: Any, tmp_path: Path) -> None:
    folder = adapter_in(tmp_path / "models" / "tuned")
    plain = texts(answers(engine(small()), PROMPTS, temperature=0, max_tokens=8))
    option = texts(answers(engine(small(adapter="models/tuned")), PROMPTS, temperature=0, max_tokens=8))
    itself = texts(answers(engine(ModelSpec("t", str(folder), "transformers")), PROMPTS, temperature=0, max_tokens=8))
    assert option == itself != plain


OUT_OF_MEMORY = """
import resource, sys, threading
from pathlib import Path
import torch
from dreammake.core.engine import Ask, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.models.transformers import Transformers

torch.set_num_threads(1)
said = []
spec = ModelSpec("m", sys.argv[1], "transformers", {"batch_size": 64})
engine = Transformers(spec, EngineContext(Path, say=said.append))
came = threading.Semaphore(0)
answers = []
def ask(count, words):
    for number in range(count):
        request = Request(({"role": "user", "content": f"{number} " + "word " * words},))
        done = lambda answer: (answers.append(answer), came.release())
        engine.submit(Ask(request, number, max_tokens=2, options={"temperature": 0}), done)
    for _ in range(count):
        came.acquire()
ask(2, 3)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 700 * 2**20, resource.RLIM_INFINITY))
ask(64, 1000)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert [answer.error for answer in answers] == [None] * 66, {answer.error for answer in answers}
assert said and said[0].startswith("a batch of 64 does not fit into memory: 32"), said
before = len(said)
ask(64, 3)
assert len(said) == before and engine._rows < 64
engine.close()
"""


@pytest.mark.slow
def test_a_batch_that_does_not_fit_into_memory_is_halved() -> None:
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY, str(small_model())], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_uses_that_differ_in_sampling_only_share_one_model(tmp_path: Path) -> None:
    asker = asker_in(tmp_path)
    request = Request(({"role": "user", "content": "Hi."},))
    for temperature in (0.0, 0.5):
        for max_tokens in (2, 4):
            spec = small(temperature=temperature, max_tokens=max_tokens)
            assert all(answer.text for answer in asker.ask(spec, [request] * 3))
    assert len(asker._lanes) == 1
    asker.close()


@pytest.mark.slow
def test_closing_answers_what_is_under_way_as_interrupted(tmp_path: Path) -> None:
    engine = Transformers(small(), EngineContext(tmp_path.joinpath))
    came = threading.Semaphore(0)
    found: list[Answer] = []
    for number in range(200):
        ask = Ask(Request(({"role": "user", "content": "Hi."},)), number, max_tokens=4000, options={"temperature": 1.0})
        engine.submit(ask, lambda answer: (found.append(answer), came.release()))
    engine.close()
    assert [answer.error and answer.error.code for answer in found] == ["interrupted"] * 200


@pytest.mark.parametrize("name", ["models/none", "no-such/model"])
def test_a_model_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(DreamError, match="no-such-model") as caught:
        Transformers(ModelSpec("m", name, "transformers"), EngineContext(tmp_path.joinpath))
    assert caught.value.exit_code == 1


@pytest.mark.slow
def test_an_adapter_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(
        DreamError, match='no-such-model: the adapter "no/adapter" of the model `small` cannot be opened'
    ):
        Transformers(small(adapter="no/adapter"), EngineContext(tmp_path.joinpath))


def test_models_and_adapters_are_known_by_their_content(tmp_path: Path) -> None:
    def identity_of(name: str, inputs: dict[str, str] | None = None, **options: Any) -> Any:
        spec = ModelSpec("m", name, "transformers", options)
        return use_for(spec, engine_of, inputs or {}, FileDigests(), tmp_path.joinpath).identity

    for name, weights in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "sub" / "model.safetensors").write_text(weights)
        (tmp_path / name / "dreammake.json").write_text(f"the card of {name}")
    assert identity_of("a") == identity_of("b") != identity_of("c")
    assert identity_of("org/m", adapter="a") == identity_of("org/m", adapter="b") != identity_of("org/m", adapter="c")
    assert identity_of("a", {"a": "f1"})["model"] == identity_of("a/", {"a": "f1"})["model"] == "f1"
    assert identity_of("org/m", {"a": "f1"}, adapter="a")["options"] == {"adapter": "f1"}
    assert identity_of("org/m")["model"] == "org/m"
    assert identity_of("org/m", device="cpu", batch_size=3, concurrency=2) == identity_of("org/m")
    assert identity_of("org/m", quantization="nf4") != identity_of("org/m")
    assert identity_of("smollm2")["model"] != "smollm2"
    for given in ({"name": "a"}, {"name": "org/m", "adapter": "a"}):
        with pytest.raises(KeyError):
            identity_of(**given, inputs={"a": TO_BE_BUILT})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_build_trains_an_adapter_and_asks_it(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(
        textwrap.dedent(f"""
        config:
            word: "red"

        model tuned: "models/tuned"
            engine: "transformers"
            max_tokens: 4
            temperature: 0

        model by_option: "{small_model()}"
            engine: "transformers"
            adapter: "models/tuned"
            max_tokens: 4
            temperature: 0

        rule all:
            input: "data/a", "data/b"

        rule pairs:
            output: "data/pairs"
            rows: [{{"q": "colour?", "a": config.word}}]

        rule train:
            input: "data/pairs"
            output: "models/tuned"
            train sft:
                base: "{small_model()}"
                prompt: "{{{{ q }}}}"
                completion: "{{{{ a }}}}"
                peft: lora(r=4)
                max_steps: 2

        rule ask:
            output: "data/a"
            rows: [{{"q": "colour?"}}]
            prompt y:
                model: tuned
                prompt: "{{{{ q }}}}"

        rule ask_too:
            output: "data/b"
            rows: [{{"q": "colour?"}}]
            prompt y:
                model: by_option
                prompt: "{{{{ q }}}}"
        """)
    )
    document = project.ok("all", "--dry-run", "--json").document
    assert [target["prompts"]["exact"] for target in document["targets"] if target.get("prompts")] == [False, False]
    assert project.built("all") == ["data/a", "data/b", "data/pairs", "models/tuned"]
    assert project.rows("data/a") == project.rows("data/b")
    assert project.built("all") == []
    project.edit('word: "red"', 'word: "blue"')
    events = project.ok("all", "--json").events
    asked = {event["target"]: event for event in events if event["event"] == "job-finished"}
    assert set(asked) == {"data/a", "data/b", "data/pairs", "models/tuned"}
