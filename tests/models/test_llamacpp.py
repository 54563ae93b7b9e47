"""llama.cpp with the real SmolLM2."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.asking import asker_in, engine_of
from support.project import Project

from dreammake.core.diagnostic import DreamError
from dreammake.core.embedded import embedded_gguf
from dreammake.core.engine import Answer, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.models.llamacpp import LlamaCpp
from dreammake.run.asking import Asker

SMOLLM2 = ModelSpec("small", "smollm2", "llamacpp", {"max_tokens": 24})
PROMPTS = [
    "What is the capital of France?",
    "Name a colour.",
    "Continue: " + "river stone letter music " * 100,
    "Tell me a short story about a cat.",
    "What is 2 + 2?",
    "Name a colour.",
]


def ask(folder: Path, model: ModelSpec, prompts: list[str]) -> list[Answer]:
    asker = asker_in(folder)
    try:
        return list(asker.ask(model, (Request(({"role": "user", "content": prompt},)) for prompt in prompts)))
    finally:
        asker.close()


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_same_bytes_whatever_runs_beside(tmp_path: Path, temperature: float) -> None:
    model = SMOLLM2.with_options(temperature=temperature)
    alone = ask(tmp_path / "a", model.with_options(concurrency=1), PROMPTS)
    beside = ask(tmp_path / "b", model.with_options(concurrency=3), PROMPTS[::-1])[::-1]
    if temperature:  # the two equal prompts are the first and the second sample, in the order of asking
        beside[1], beside[5] = beside[5], beside[1]
        assert alone[1].text != alone[5].text
    assert [answer.text for answer in beside] == [answer.text for answer in alone]


@pytest.mark.slow
def test_one_prompt_too_long_fails_alone(tmp_path: Path) -> None:
    model = SMOLLM2.with_options(n_ctx=256, concurrency=1)
    short, long = ask(tmp_path, model, ["Say yes.", "word " * 1000])
    assert short.text and short.completion_tokens is not None and short.completion_tokens <= 24
    assert long.error is not None and not long.error.fatal
    assert "context" in long.error.message


@pytest.mark.slow
def test_the_log_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ask(tmp_path, SMOLLM2.with_options(concurrency=1), ["Say yes."])
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_only_one_idle_model_is_kept_in_memory(tmp_path: Path) -> None:
    asker = asker_in(tmp_path)
    request = Request(({"role": "user", "content": "Say yes."},))
    for n_ctx in (256, 512):
        assert [answer.text for answer in asker.ask(SMOLLM2.with_options(concurrency=1, n_ctx=n_ctx), [request])]
    assert len(asker._lanes) == 1
    asker.close()


@pytest.mark.slow
def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(DreamError, match="bad-model-file"):
        ask(tmp_path, ModelSpec("m", "bad.gguf", "llamacpp"), ["p"])


def test_a_model_file_is_known_by_its_content(tmp_path: Path) -> None:
    from dreammake.run.request_key import use_for
    from dreammake.store.file_digests import FileDigests

    def file_of(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        model = ModelSpec("m", name, "llamacpp")
        use = use_for(model, engine_of, {}, FileDigests(), tmp_path.joinpath)
        return str(use.identity["model"])

    assert file_of("a.gguf", b"one") == file_of("b.gguf", b"one") != file_of("a.gguf", b"other")


DREAMFILE = """
model small: "model.gguf"
    engine: "llamacpp"
    concurrency: 4
    max_tokens: 24
    temperature: 0

rule all:
    input: "data/answers"

rule answers:
    output: "data/answers"
    rows: [{"x": x} for x in range(40)]
    prompt y:
        model: small
        prompt: "Say something about the number {{ x }}."
"""


def kept(project: Project) -> int:
    """Answers in the prompt cache."""
    found = 0
    for file in (project.root / ".dreammake" / "prompts").glob("*.sqlite"):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db, suppress(sqlite3.OperationalError):
            found += db.execute("select count(*) from answers").fetchone()[0]
    return found


def children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return [pid for pid, of in pairs if of == parent]


@pytest.mark.slow
def test_a_worker_killed_under_load_loses_only_what_was_in_flight(tmp_path: Path) -> None:
    weights = embedded_gguf()
    assert weights is not None
    (tmp_path / "model.gguf").symlink_to(weights)
    project = Project(tmp_path).write(DREAMFILE)
    build = project.start("--json")
    while kept(project) < 8:
        assert build.poll() is None
        time.sleep(0.02)
    for worker in children(build.pid):
        os.kill(worker, signal.SIGKILL)
    build.communicate()
    before = kept(project)
    assert 8 <= before < 40
    events = project.ok("--json").events
    (facts,) = [event["facts"] for event in events if event["event"] == "job-finished"]
    assert (facts["prompts_cached"], facts["prompts_asked"]) == (before, 40 - before)
    assert all(row["y"] for row in project.rows("data/answers"))


def test_the_embedded_model_is_there() -> None:
    path: Callable[[str], Path] = Path
    found = LlamaCpp.weights(SMOLLM2, path)
    assert found == embedded_gguf()
    assert found.read_bytes()[:4] == b"GGUF"


def test_a_model_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DreamError, match="no-such-model"):
        Asker(tmp_path, engine_of, EngineContext(path=tmp_path.joinpath)).ask(
            ModelSpec("m", "missing.gguf", "llamacpp"), []
        ).__next__()
