"""Other providers, through the real litellm against the loopback server."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.hosted import answers, asked, engine, failure
from support.server import LoopbackServer, Trouble

from dreammake.core.diagnostic import DreamError
from dreammake.core.values import ModelSpec
from dreammake.models import _dispatch
from dreammake.models._trouble import Trouble as Refused
from dreammake.models.openai_http import OpenAIHTTP

MODEL = "hosted_vllm/small"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or its import fetches prices
    pytest.importorskip("litellm", reason="litellm is in the extra `api`")
    with LoopbackServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Refused.pause
    monkeypatch.setattr(Refused, "pause", lambda trouble, tries: whole(trouble, tries) / 100)
    monkeypatch.setattr(_dispatch, "GONE_AFTER", 0.05)
    monkeypatch.setattr(_dispatch, "KNOCK_EVERY", 0.01)


def test_an_answer_with_its_tokens(server: LoopbackServer) -> None:
    with engine(MODEL, api_base=server.base_url, api_key="k") as made:
        [answer] = answers(made, ["p"], max_tokens=1, explicit_seed=True)
    assert (answer.text, answer.finish_reason) == ("answer", "length")
    assert (answer.prompt_tokens, answer.completion_tokens) == (1, 1)
    assert server.requests == [
        {"model": "small", "messages": [{"role": "user", "content": "p"}], "max_tokens": 1, "seed": 1}
    ]
    assert server.headers[0]["Authorization"] == "Bearer k"


@pytest.mark.parametrize(
    "trouble",
    [Trouble(429, {"Retry-After": "0.01"}), Trouble(500), Trouble(503), Trouble(reset=True), Trouble(cut_off=True)],
)
def test_what_passes_is_tried_again_by_us_alone(server: LoopbackServer, trouble: Trouble) -> None:
    server.trouble = lambda body, number: trouble if number < 2 else None
    with engine(MODEL, api_base=server.base_url, api_key="k") as made:
        [answer] = answers(made, ["p"])
    assert answer.error is None
    assert server.count == 3


@pytest.mark.parametrize(
    ("trouble", "code", "fatal"),
    [
        (Trouble(400, message="too bad"), "bad-request", False),
        (Trouble(400, message="maximum context length is 5"), "context-overflow", False),
        (Trouble(401, message="wrong key"), "bad-api-key", True),
        (Trouble(403), "bad-api-key", True),
        (Trouble(404), "no-such-model", True),
        (Trouble(429, message="insufficient_quota"), "out-of-quota", True),
    ],
)
def test_what_stays_is_not_tried_again(server: LoopbackServer, trouble: Trouble, code: str, fatal: bool) -> None:
    server.trouble = lambda body, number: trouble
    with engine(MODEL, api_base=server.base_url, api_key="k") as made:
        found = failure(answers(made, ["p"])[0])
    assert (found.code, found.fatal) == (code, fatal)
    assert f"({trouble.status}: {trouble.message})" in found.message
    assert server.count == 1


def test_a_wrong_key_names_the_providers_variable(server: LoopbackServer) -> None:
    server.trouble = lambda body, number: Trouble(401)
    with engine(MODEL, api_base=server.base_url, api_key="k") as made:
        assert "HOSTED_VLLM_API_KEY" in failure(answers(made, ["p"])[0]).hint


def test_no_key_at_all_names_the_providers_variable(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with engine("anthropic/claude-3-haiku-20240307", api_base=server.base_url) as made:
        found = failure(answers(made, ["p"])[0])
    assert (found.code, found.fatal) == ("bad-api-key", True)
    assert "ANTHROPIC_API_KEY" in found.hint
    assert server.count == 0


def test_a_provider_whose_server_does_not_run(server: LoopbackServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with engine(MODEL, api_base=url, api_key="k") as made:
        assert failure(answers(made, ["p"])[0]).code == "endpoint-unreachable"


def test_a_schema_that_the_provider_does_not_take_is_told_in_words(server: LoopbackServer) -> None:
    server.trouble = lambda body, number: (
        Trouble(400, message="no response_format here") if "response_format" in body else None
    )
    with engine(MODEL, api_base=server.base_url, api_key="k") as made:
        assert answers(made, [asked("p", {"type": "object"})])[0].error is None
    assert '{"type": "object"}' in server.prompts[-1]


def test_without_litellm_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["litellm"] = None
from pathlib import Path
from dreammake.core.engine import EngineContext
from dreammake.core.values import ModelSpec
from dreammake.models.openai_http import OpenAIHTTP
OpenAIHTTP(ModelSpec("claude", "anthropic/claude-3-haiku", "api", {}), EngineContext(path=Path))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "needs-litellm" in done.stderr


def test_reading_and_planning_import_no_litellm() -> None:
    spec = ModelSpec("claude", "anthropic/claude-3-haiku", "api", {})
    assert OpenAIHTTP.settled(spec) == spec
    with pytest.raises(DreamError, match="bad-endpoint"):
        OpenAIHTTP.settled(spec.with_options(base_url="nowhere"))
