"""What is known before a training begins: the base's size and licence, memory, disk, lengths."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.values import Function, Template
from dreammake.trainers import _beforehand
from dreammake.trainers._beforehand import memory
from dreammake.trainers._beforehand.base_facts import BaseFacts, base_facts
from dreammake.trainers._beforehand.lengths import lengths_of
from dreammake.trainers._beforehand.memory import in_bytes, need_of
from tests.support.training import PAIR_TEXTS, PAIRS, Training, rows_of, sft_options

LORA = Function("lora", (), {"r": 4, "target_modules": ["q_proj"]})


def base_in(folder: Path, readme: str = "", **shapes: tuple[int, ...]) -> Path:
    """A base of which nothing is there but the beginning of its files: weights in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name.replace("__", ".")] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    (folder / "README.md").write_text(readme)
    return folder


def training_with(folder: Path, base: str | Path, rows: list[dict[str, Any]] = PAIRS) -> Training:
    places = [folder / "model", folder / "checkpoints"]
    for place in places:
        place.mkdir(exist_ok=True)
    return Training(rows_of(rows), None, *places, base)


def test_a_base_is_measured_by_its_files(tmp_path: Path) -> None:
    readme = "---\nlanguage: en\nlicense: llama3.1\n---\n# A model\nlicense: no\n"
    base = base_in(tmp_path / "base", readme, model__q_proj__weight=(64, 32), model__norm__weight=(32,))
    facts = base_facts(training_with(tmp_path, base))
    assert (facts.parameters, facts.stored, facts.licence) == (64 * 32 + 32, 4 * (64 * 32 + 32), "llama3.1")


def test_an_adapter_is_as_large_as_its_base(tmp_path: Path) -> None:
    base_in(tmp_path / "models" / "base", model__q_proj__weight=(64, 32))
    adapter = tmp_path / "models" / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "models/base"}))
    assert base_facts(training_with(tmp_path, adapter)).parameters == 64 * 32


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x08\0\0\0\0\0\0\0not json", b"\x02\0\0\0\0\0\0\0{}"])
def test_files_that_are_no_weights_tell_nothing(tmp_path: Path, content: bytes) -> None:
    base = base_in(tmp_path / "base")
    (base / "model.safetensors").write_bytes(content)
    assert base_facts(training_with(tmp_path, base)).parameters is None


def test_a_base_that_nobody_knows_is_no_error_here(tmp_path: Path) -> None:
    training = training_with(tmp_path, "nobody/knows this")
    _beforehand.check(sft_options(**PAIR_TEXTS), training)
    assert training.lines == []


@pytest.mark.parametrize(
    ("given", "memory"),
    [
        ({}, 16e9),  # weights, gradients, and two states of Adam, 4 bytes each
        ({"dtype": "bfloat16"}, 8e9),
        ({"optim": "adafactor"}, 8e9),
        ({"optim": "adamw_8bit"}, 10e9),
        ({"peft": LORA}, 4e9),
        ({"peft": LORA, "dtype": "bfloat16"}, 2e9),
        ({"peft": LORA, "quantization": "nf4"}, 0.5e9),
    ],
)
def test_memory_is_counted_by_what_learns(given: dict[str, Any], memory: float) -> None:
    facts = BaseFacts(10**9, 4 * 10**9, {"model.q_proj.weight": (1000, 1000), "model.embed_tokens.weight": (1000, 9)})
    options = sft_options(**PAIR_TEXTS, **given)
    need = need_of(facts, options.values)
    assert need is not None
    adapter = 4 * 2000 * 16 if "peft" in given else 0
    assert need.memory == memory + adapter


def test_the_log_tells_what_the_training_takes(tmp_path: Path) -> None:
    base = base_in(tmp_path / "base", "---\nlicense: mit\n---\n", w=(1000, 1000))
    training = training_with(tmp_path, base)
    _beforehand.check(sft_options(**PAIR_TEXTS), training)
    assert training.lines == [
        "the base has 1M parameters, licence mit; the training takes at least 16 MB: 4 MB of weights, 4 MB of "
        "gradients, 8 MB of the optimizer"
    ]


def test_what_cannot_fit_is_refused_with_what_would(tmp_path: Path) -> None:
    machine = memory._machine()
    side = int((machine / 8) ** 0.5)  # weights of half the machine's memory, and four times that to train them
    base = base_in(tmp_path / "base", w=(side, side))
    with pytest.raises(DreamError) as error:
        _beforehand.check(sft_options(**PAIR_TEXTS, use_cpu=True), training_with(tmp_path, base))
    found = error.value.diagnostics[0]
    assert (found.code, error.value.exit_code) == ("too-little-memory", 1)
    assert f"and this machine has {in_bytes(machine)}" in found.message
    assert "with `peft: lora()` it takes" in found.hint
    assert 'with `dtype: "bfloat16"`' not in found.hint, "that would be as much as there is"


def test_several_devices_share_a_model_that_is_sharded(tmp_path: Path) -> None:
    side = int((memory._machine() / 8) ** 0.5)
    training, options = training_with(tmp_path, "x"), sft_options(**PAIR_TEXTS, use_cpu=True)
    facts = BaseFacts(side * side)
    need = need_of(facts, options.values)
    assert need is not None
    with pytest.raises(DreamError, match="too-little-memory"):
        _beforehand._check_memory(facts, need, options, training, 1)
    _beforehand._check_memory(facts, need, options, training, 4)
    assert training.told == []
    _beforehand._check_memory(facts, need, options, training, 2)
    assert training.told[0].startswith("memory is tight: at least")


def test_a_disk_that_is_too_small_is_told_before_the_training(tmp_path: Path) -> None:
    free = memory.free_disk(tmp_path)
    facts = BaseFacts(int(free / 8))
    need = need_of(facts, sft_options(**PAIR_TEXTS).values)
    assert need is not None
    training = training_with(tmp_path, "x")
    with pytest.raises(DreamError, match="the model and one checkpoint take about") as error:
        _beforehand._check_disk(need, sft_options(**PAIR_TEXTS), training)
    assert 'or write no checkpoints: `save_strategy: "no"`' in error.value.diagnostics[0].hint
    _beforehand._check_disk(need, sft_options(**PAIR_TEXTS, save_strategy="no"), training)


def tokenizer_in(folder: Path) -> Path:
    """One token a word."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    made = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_rows_that_are_too_long_are_counted(tmp_path: Path) -> None:
    base = base_in(tmp_path / "base")
    tokenizer_in(base)
    rows = [*PAIRS, {"question": "why " * 300, "answer": "because"}, {"question": "so", "answer": "it is " * 100}]
    training = training_with(tmp_path, base, rows)
    _beforehand.check(sft_options(**PAIR_TEXTS, max_length=128), training)
    assert training.told == ["2 of 18 rows are longer than `max_length`, 128 tokens: the longest has about 301"]


def test_of_many_long_rows_only_the_first_are_counted(tmp_path: Path) -> None:
    rows = [{"question": "why " * 1000, "answer": "because"}] * 300
    found = lengths_of(rows_of(rows), sft_options(**PAIR_TEXTS, max_length=128), tokenizer_in(tmp_path))
    assert str(found) == (
        "100 of the first 100 rows are longer than `max_length`, 128 tokens: the longest has about 1,001"
    )


def test_chats_are_as_long_as_what_they_say(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "why " * 80}, {"role": "assistant", "content": "because"}]
    for options, rows in (
        (sft_options(messages=Template("{{ chat }}"), max_length=64), [{"chat": chat}]),
        (sft_options(messages=[{"role": "user", "content": Template("{{ q }}")}], max_length=64), [{"q": "why " * 81}]),
    ):
        found = lengths_of(rows_of(rows), options, tokenizer_in(tmp_path))
        assert found is not None
        assert (found.over, found.longest) == (1, 81)


@pytest.mark.parametrize("given", [{"max_length": None}, {"max_length": 8, "packing": True}])
def test_where_nothing_is_cut_nothing_is_counted(tmp_path: Path, given: dict[str, Any]) -> None:
    assert lengths_of(rows_of(PAIRS), sft_options(**PAIR_TEXTS, **given), tokenizer_in(tmp_path)) is None


def test_short_rows_need_no_tokenizer(tmp_path: Path) -> None:
    found = lengths_of(rows_of(PAIRS), sft_options(**PAIR_TEXTS, max_length=1024), tmp_path / "there is none")
    assert found is not None
    assert (found.looked, found.over) == (16, 0)


CHECK = """
import sys
from pathlib import Path
from tests.support.training import PAIR_TEXTS, sft_options
from tests.trainers.test_before import training_with
from dreammake.trainers import _beforehand
training = training_with(Path(sys.argv[1]), Path(sys.argv[2]))
_beforehand.check(sft_options(**PAIR_TEXTS, max_length=8), training)
assert training.lines and training.told
print(sorted({"torch", "transformers", "datasets", "trl", "peft"} & set(sys.modules)))
"""


def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    base = base_in(tmp_path / "base", w=(2, 2))
    tokenizer_in(base)
    words = [sys.executable, "-c", CHECK, str(tmp_path), str(base)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
