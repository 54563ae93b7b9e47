"""The HTTP engine against a real server that fails in every way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from support.server import LoopbackServer, Trouble, prompt_of

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Answer, Ask, EngineContext, Failure, Request
from dreammake.core.values import ModelSpec
from dreammake.models import _dispatch, _endpoint, _trouble
from dreammake.models._trouble import Trouble as Refused
from dreammake.models._trouble import refusal
from dreammake.models.openai_http import OpenAIHTTP

CONTEXT = EngineContext(path=Path)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries are as they are, a hundred times shorter."""
    whole = Refused.pause
    monkeypatch.setattr(Refused, "pause", lambda trouble, tries: whole(trouble, tries) / 100)
    monkeypatch.setattr(_dispatch, "GONE_AFTER", 0.05)
    monkeypatch.setattr(_dispatch, "GONE_AFTER_ANSWERS", 0.05)
    monkeypatch.setattr(_dispatch, "KNOCK_EVERY", 0.01)


@contextmanager
def engine(model: str = "openai/m", **options: Any) -> Iterator[OpenAIHTTP]:
    made = OpenAIHTTP(ModelSpec("teacher", model, "api", options), CONTEXT)
    try:
        yield made
    finally:
        made.close()


def answers(made: OpenAIHTTP, prompts: list[str], **of_ask: Any) -> list[Answer]:
    """The answers to prompts that are all under way at once."""
    found: dict[str, Answer] = {}
    all_there = threading.Event()

    def keep(prompt: str) -> Callable[[Answer], None]:
        def done(answer: Answer) -> None:
            assert prompt not in found
            found[prompt] = answer
            if len(found) == len(prompts):
                all_there.set()

        return done

    for prompt in prompts:
        made.submit(Ask(Request(({"role": "user", "content": prompt},)), seed=1, **of_ask), keep(prompt))
    assert all_there.wait(60)
    return [found[prompt] for prompt in prompts]


def failure(answer: Answer) -> Failure:
    assert answer.text is None and answer.error is not None
    return answer.error


def first(count: int, trouble: Trouble) -> Callable[[dict[str, Any], int], Trouble | None]:
    return lambda body, number: trouble if number < count else None


def test_an_answer_with_its_tokens() -> None:
    with LoopbackServer(answer=lambda body: prompt_of(body) * 2) as server, engine(base_url=server.base_url) as made:
        [answer] = answers(made, ["two words "], max_tokens=3)
        assert (answer.text, answer.finish_reason) == ("two words two", "length")
        assert (answer.prompt_tokens, answer.completion_tokens) == (2, 3)
        assert answer.seconds is not None and answer.seconds > 0
        assert server.requests == [
            {"model": "m", "messages": [{"role": "user", "content": "two words "}], "max_tokens": 3}
        ]
        assert "Authorization" not in server.headers[0]


def test_a_schema_is_sent_as_a_response_format() -> None:
    with LoopbackServer() as server, engine(base_url=server.base_url) as made:
        done = threading.Event()
        request = Request(({"role": "user", "content": "p"},), {"type": "object"})
        made.submit(Ask(request, seed=1), lambda answer: done.set())
        assert done.wait(60)
        assert server.requests[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_many_at_once_over_kept_connections() -> None:
    with LoopbackServer(latency=0.01) as server, engine(base_url=server.base_url, concurrency=32) as made:
        assert made.window == 32
        assert len({answer.text for answer in answers(made, [str(number) for number in range(500)])}) == 500
        assert server.most_at_once == 32


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(429),
        Trouble(429, {"Retry-After": "0.01"}),
        Trouble(429, {"Retry-After": formatdate()}),
        Trouble(500),
        Trouble(503),
        Trouble(reset=True),
        Trouble(cut_off=True),
    ],
)
def test_what_passes_is_tried_again(trouble: Trouble) -> None:
    with LoopbackServer(trouble=first(3, trouble)) as server, engine(base_url=server.base_url) as made:
        [answer] = answers(made, ["p"])
        assert answer.text is not None and answer.error is None
        assert server.count == 4


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (Trouble(429), "rate-limited"),
        (Trouble(502), "server-error"),
        (Trouble(reset=True), "connection-lost"),
        (Trouble(cut_off=True), "bad-answer"),
    ],
)
def test_what_does_not_pass_in_all_tries_fails_alone(trouble: Trouble, code: str) -> None:
    def one_row(body: dict[str, Any], number: int) -> Trouble | None:
        return trouble if prompt_of(body) == "bad" else None

    with LoopbackServer(trouble=one_row) as server, engine(base_url=server.base_url, retries=2) as made:
        good, bad, fine = answers(made, ["good", "bad", "fine"])
        assert good.error is None and fine.error is None
        assert (failure(bad).code, failure(bad).fatal) == (code, False)
        assert server.prompts.count("bad") == 3


@pytest.mark.parametrize(
    ("trouble", "code", "fatal"),
    [
        (Trouble(400, message="too long by 5 tokens"), "bad-request", False),
        (Trouble(422), "bad-request", False),
        (Trouble(401), "bad-api-key", True),
        (Trouble(403), "bad-api-key", True),
        (Trouble(404), "no-such-model", True),
        (Trouble(429, message="insufficient_quota"), "out-of-quota", True),
    ],
)
def test_what_stays_is_not_tried_again(trouble: Trouble, code: str, fatal: bool) -> None:
    with LoopbackServer(trouble=first(99, trouble)) as server, engine(base_url=server.base_url) as made:
        [answer] = answers(made, ["p"])
        assert (failure(answer).code, failure(answer).fatal) == (code, fatal)
        assert trouble.message in failure(answer).message
        assert server.count == 1


def test_a_dead_endpoint_is_fatal() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with engine(base_url=url) as made:
            found = [failure(answer) for answer in answers(made, ["p", "q"])]
    assert {(error.code, error.fatal) for error in found} == {("endpoint-unreachable", True)}
    assert url in found[0].message


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http:///v1"])
def test_an_endpoint_that_is_no_address_is_found_before_anything_is_asked(url: str) -> None:
    with pytest.raises(DreamError, match="bad-endpoint"), engine(base_url=url):
        pass


def test_an_answer_that_does_not_come_in_time() -> None:
    with LoopbackServer(hold_from=0) as server, engine(base_url=server.base_url, timeout=0.05, retries=1) as made:
        assert failure(answers(made, ["p"])[0]).code == "no-answer-in-time"
        assert server.count == 2


def test_closing_answers_what_is_under_way() -> None:
    with LoopbackServer(hold_from=0) as server:
        found: list[Answer] = []
        with engine(base_url=server.base_url) as made:
            made.submit(Ask(Request(({"role": "user", "content": "p"},)), seed=1), found.append)
            server.wait_for(1)
        assert [failure(answer).code for answer in found] == ["interrupted"]
        made.close()


def test_the_endpoint_and_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url + "/")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        with engine("anthropic/claude") as made:
            assert answers(made, ["p"])[0].text
        assert server.requests[0]["model"] == "anthropic/claude"
        assert server.headers[0]["Authorization"] == "Bearer sk-test"
        assert OpenAIHTTP.settled(ModelSpec("m", "x")).options == {"base_url": server.base_url}


def test_openais_own_endpoint_needs_a_key() -> None:
    with pytest.raises(DreamError, match="missing-api-key"), engine("openai/gpt-4o"):
        pass


def test_another_provider_needs_an_endpoint() -> None:
    with pytest.raises(DreamError, match="needs-litellm"), engine("anthropic/claude", api_key="k"):
        pass


def test_requests_a_minute_are_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds:  # the server's own loop sleeps for 0
            slept.append(seconds)

    monkeypatch.setattr(openai_http.asyncio, "sleep", sleep)
    with LoopbackServer() as server, engine(base_url=server.base_url, rpm=60) as made:
        answers(made, ["a", "b", "c"])
    assert [round(seconds) for seconds in sorted(slept)] == [1, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"error": {"message": "bad\\nthing"}}', "400: bad thing"),
        (b'{"error": "bad thing"}', "400: bad thing"),
        (b'{"detail": [{"loc": "x"}]}', '400: [{"loc": "x"}]'),
        (b"<html>Bad</html>", "400: <html>Bad</html>"),
        (b"", "HTTP 400"),
        (b"[]", "400: []"),
        (b"x" * 1000, "400: " + "x" * 299 + "…"),
    ],
)
def test_what_a_server_says_is_told_in_one_line(content: bytes, said: str) -> None:
    assert refusal(400, None, content, "m", "url").failure.message == f"the server refused the request ({said})"


def test_pauses_grow_and_heed_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    passing = refusal(503, None, b"", "m", "url")
    for tries in range(1, 12):
        longest = min(0.5 * 2 ** (tries - 1), 60.0)
        assert longest / 2 <= passing.pause(tries) <= longest
    assert 7.0 <= refusal(429, "7", b"", "m", "url").pause(1) <= 7.1
    assert refusal(429, "soon", b"", "m", "url").after is None
