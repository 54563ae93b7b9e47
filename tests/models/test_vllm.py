"""vLLM's real server with SmolLM2, and its guard and locks with small servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.project import Project
from support.server import LoopbackServer
from support.vllm import PYTHON, needs_vllm

from dreammake.core.diagnostic import DreamError
from dreammake.core.embedded import embedded_folder
from dreammake.core.engine import Answer, Ask, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.models._shared_server import SharedServer, is_held
from dreammake.models._vllm_command import command_of
from dreammake.models.vllm import VLLM

OPTIONS = {
    "python": str(PYTHON),
    "dtype": "bfloat16",
    "max_model_len": 1024,
    "arguments": ["--enforce-eager", "--max-num-seqs", "64"],
}
SMALL_SERVER = """
import http.server, os, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *args): pass
print("here I am", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


def server_in(folder: Path, program: str = SMALL_SERVER, **given: Any) -> SharedServer:
    settings: dict[str, Any] = {
        "name": "the server",
        "command": lambda port: [sys.executable, "-c", program, str(port)],
        "environment": dict(os.environ),
        "owner": os.getpid(),
        "gpus": frozenset(),
        "ready_within": 30.0,
        "say": lambda line: None,
    }
    return SharedServer(folder, **(settings | given))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A server's folder; whatever runs there ends with the test."""
    yield tmp_path / "shared" / "s"
    for place in (tmp_path / "shared").glob("*"):
        if (place / "users").exists() or (place / "address.json").exists():
            server_in(place).stop_if_unused()


def eventually(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 30 s")


def pid_of(folder: Path, who: str = "server") -> int:
    return int(json.loads((folder / "address.json").read_text())[who])


def is_gone(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_all_share_one_server(folder: Path) -> None:
    first, second = server_in(folder), server_in(folder)
    address = first.start()
    assert second.start() == address
    second.use()
    assert not first.stop_if_unused()
    assert first.alive
    second.rest()
    assert first.stop_if_unused()
    assert not second.alive


def test_two_that_start_at_once_start_one(folder: Path) -> None:
    servers = [server_in(folder) for _ in range(4)]
    addresses: list[str] = []
    threads = [threading.Thread(target=lambda server=server: addresses.append(server.start())) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(addresses) == 4
    assert len(set(addresses)) == 1


def test_a_server_that_ends_tells_its_last_lines(folder: Path) -> None:
    with pytest.raises(DreamError, match="ended while it was starting") as caught:
        server_in(folder, "print('no memory left'); raise SystemExit(3)").start()
    assert [note.message for note in caught.value.diagnostics[0].notes] == ["no memory left"]


def test_a_server_that_is_never_ready_is_ended(folder: Path) -> None:
    server = server_in(folder, "import time; time.sleep(600)", ready_within=0.3)
    with pytest.raises(DreamError, match=r"was not ready within 0\.3 s"):
        server.start()
    assert not server.alive
    assert is_gone(pid_of(folder))


def test_an_unused_server_makes_room_on_its_gpu(folder: Path) -> None:
    old = server_in(folder, gpus=frozenset({"0"}))
    other = server_in(folder.with_name("other"), gpus=frozenset({"1"}))
    old.start()
    other.start()
    new = server_in(folder.with_name("new"), gpus=frozenset({"0"}))
    new.start()
    assert (old.alive, other.alive, new.alive) == (False, True, True)
    new.use()
    old.start()
    assert new.alive
    new.rest()


@pytest.mark.parametrize("victim", ["owner", "guard"])
def test_the_server_ends_with_its_owner_however_that_ends(folder: Path, victim: str) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    server_in(folder, owner=owner.pid).start()
    server = pid_of(folder)
    os.kill(owner.pid if victim == "owner" else pid_of(folder, "guard"), signal.SIGKILL)
    eventually(lambda: is_gone(server))
    eventually(lambda: not is_held(folder / "alive"))
    owner.kill()
    owner.wait()


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    config = {"base_model_name_or_path": "org/base", "r": 12}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    context = EngineContext(tmp_path.joinpath, gpus=(0, 1))
    declared = {name: option.default for name, option in VLLM.Options.declared().items()}
    words = " ".join(command_of(ModelSpec("m", "adapter", "vllm"), declared | {"quantization": "fp8"}, context)(81))
    assert "--model org/base --host 127.0.0.1 --served-model-name adapter (base)" in words
    assert "--quantization fp8 --tensor-parallel-size 2" in words
    assert f'--max-lora-rank 16 --lora-modules {{"name": "adapter", "path": "{tmp_path / "adapter"}"}}' in words
    assert words.endswith("--port 81")


def test_a_server_that_runs_already_is_only_asked(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        spec = VLLM.settled(ModelSpec("m", "org/model", "vllm", {"base_url": server.base_url}))
        engine = VLLM(spec, EngineContext(tmp_path.joinpath))
        (answer,) = answers(engine, ["hello"])
        engine.close()
    assert answer.text is not None
    assert server.requests[0]["model"] == "org/model"
    assert list(tmp_path.iterdir()) == []


def test_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DreamError, match="no-such-file"):
        VLLM(ModelSpec("m", "smollm2", "vllm", {"python": "envs/none/bin/python"}), EngineContext(tmp_path.joinpath))


def answers(engine: VLLM, prompts: list[str], **options: Any) -> list[Answer]:
    return asked(engine, prompts, **options)()


def asked(engine: VLLM, prompts: list[str], **options: Any) -> Callable[[], list[Answer]]:
    """Submit all, and give what waits for the answers."""
    found: dict[int, Answer] = {}
    came = threading.Semaphore(0)

    def done(number: int, answer: Answer) -> None:
        found[number] = answer
        came.release()

    for number, prompt in enumerate(prompts):
        request = Request(({"role": "user", "content": prompt},))
        ask = Ask(request, seed=number, max_tokens=options.get("max_tokens"), options=options)
        engine.submit(ask, lambda answer, number=number: done(number, answer))

    def wait() -> list[Answer]:
        for _ in prompts:
            assert came.acquire(timeout=300)
        return [found[number] for number in range(len(prompts))]

    return wait


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")


@pytest.mark.slow
@needs_vllm
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("small_memory")
def test_a_server_killed_under_load_is_started_again_and_what_was_under_way_asked_again(tmp_path: Path) -> None:
    said: list[str] = []
    context = EngineContext(tmp_path.joinpath, say=said.append, shared=tmp_path / "shared")
    engine = VLLM(ModelSpec("small", "smollm2", "vllm", OPTIONS), context)
    (place,) = (tmp_path / "shared").glob("vllm-*")
    (paris,) = answers(engine, ["What is the capital of France?"], temperature=0, max_tokens=12)
    assert "Paris" in (paris.text or "")
    wait = asked(engine, [f"Tell a story about the number {n}." for n in range(32)], max_tokens=200)
    os.kill(pid_of(place), signal.SIGKILL)
    assert [answer.error for answer in wait()] == [None] * 32
    assert said == [
        "starting the vLLM server of `small`",
        "the vLLM server ended; what was under way is asked again",
        "starting the vLLM server of `small`",
    ]
    last = pid_of(place)
    engine.close()
    assert is_gone(last)


@pytest.mark.slow
@needs_vllm
@pytest.mark.timeout(600)
def test_a_build_with_one_server_for_two_jobs(tmp_path: Path) -> None:
    project = Project(tmp_path)
    folder = embedded_folder(print)
    project.write(
        textwrap.dedent(f"""
        model small: "{folder}"
            engine: "vllm"
            python: "{PYTHON}"
            dtype: "bfloat16"
            max_model_len: 1024
            arguments: ["--enforce-eager"]
            max_tokens: 8
            temperature: 0

        rule all:
            input: "data/one", "data/two"

        rule asked:
            output: "data/{{name}}"
            rows: [{{"x": "cat"}}, {{"x": "dog"}}]
            prompt y:
                model: small
                prompt: "Say: {{{{ x }}}} {{{{ wildcards.name }}}}"
        """)
    )
    result = project.run("-j2", "all", timeout=400, VLLM_CPU_KVCACHE_SPACE="1")
    assert result.code == 0, result.out + result.err
    assert all(row["y"] for name in ("one", "two") for row in project.rows(f"data/{name}"))
    shared = tmp_path / ".dreammake" / "tmp" / "shared"
    logs = list(shared.glob("vllm-*/log"))
    assert [log.read_text().count("Started server process") for log in logs] == [1]
    assert not is_held(logs[0].parent / "alive")
