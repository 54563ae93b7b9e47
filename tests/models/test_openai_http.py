"""The HTTP engine against a real server that fails in every way."""

from __future__ import annotations

import socket
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from support.hosted import answers, asked, engine, failure
from support.server import LoopbackServer, Trouble, prompt_of

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Answer
from dreammake.core.options import Wrong
from dreammake.core.values import ModelSpec
from dreammake.models import _dispatch, _window
from dreammake.models._trouble import Trouble as Refused
from dreammake.models._trouble import refusal
from dreammake.models.openai_http import OpenAIHTTP


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries are as they are, a hundred times shorter."""
    whole = Refused.pause
    monkeypatch.setattr(Refused, "pause", lambda trouble, tries: whole(trouble, tries) / 100)
    monkeypatch.setattr(_dispatch, "GONE_AFTER", 0.05)
    monkeypatch.setattr(_dispatch, "GONE_AFTER_ANSWERS", 0.05)
    monkeypatch.setattr(_dispatch, "KNOCK_EVERY", 0.01)
    monkeypatch.setattr(_window, "LONGEST_PAUSE", 0.01)


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
        answers(made, [asked("p", {"type": "object"})])
        assert server.requests[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_an_endpoint_without_schemas_is_told_of_them_in_words_from_then_on() -> None:
    def refuse(body: dict[str, Any], number: int) -> Trouble | None:
        return Trouble(400, message="unknown field response_format") if "response_format" in body else None

    with LoopbackServer(trouble=refuse) as server, engine(base_url=server.base_url) as made:
        assert answers(made, [asked("p", {"type": "object"})])[0].error is None
        assert answers(made, [asked("q", {"type": "object"})])[0].error is None
        assert ["response_format" in body for body in server.requests] == [True, False, False]
        assert '{"type": "object"}' in server.prompts[1]


def test_the_limit_of_tokens_goes_under_the_name_that_the_endpoint_knows() -> None:
    def refuse(body: dict[str, Any], number: int) -> Trouble | None:
        said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
        return Trouble(400, message=said) if "max_tokens" in body else None

    with LoopbackServer(trouble=refuse) as server, engine(base_url=server.base_url) as made:
        assert answers(made, ["p"], max_tokens=5)[0].error is None
        assert answers(made, ["q"], max_tokens=5)[0].error is None
        assert [body.get("max_completion_tokens") for body in server.requests] == [None, 5, 5]


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
        (Trouble(400, message="This model's maximum context length is 8 tokens"), "context-overflow", False),
        (Trouble(422), "bad-request", False),
        (Trouble(402), "out-of-quota", True),
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
    url = _nobody()
    with engine(base_url=url) as made:
        found = [failure(answer) for answer in answers(made, ["p", "q"])]
    assert {(error.code, error.fatal) for error in found} == {("endpoint-unreachable", True)}
    assert url in found[0].message


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http:///v1"])
def test_an_endpoint_that_is_no_address_is_found_before_anything_is_asked(url: str) -> None:
    with pytest.raises(DreamError, match="bad-endpoint"), engine(base_url=url):
        pass


@pytest.mark.parametrize("value", ["localhost:8000/v1", ["http://one/v1", "two"], [], 3, [3]])
def test_what_is_no_address_is_found_where_it_is_written(value: Any) -> None:
    for name in ("base_url", "replicas"):
        with pytest.raises(Wrong, match="takes an address"):
            OpenAIHTTP.Options.declared()[name].check(value)


def test_a_list_of_one_address_is_that_address() -> None:
    option = OpenAIHTTP.Options.declared()["base_url"]
    assert option.check(["http://one/v1"]) == option.check("http://one/v1") == "http://one/v1"


def test_an_answer_that_does_not_come_in_time() -> None:
    with LoopbackServer(hold_from=0) as server, engine(base_url=server.base_url, timeout=0.05, retries=1) as made:
        assert failure(answers(made, ["p"])[0]).code == "no-answer-in-time"
        assert server.count == 2


def test_closing_answers_what_is_under_way_and_what_waits() -> None:
    with LoopbackServer(hold_from=0) as server:
        found: list[Answer] = []
        with engine(base_url=server.base_url, concurrency=1) as made:
            for prompt in ("p", "q"):
                made.submit(asked(prompt), found.append)
            server.wait_for(1)
        assert [failure(answer).code for answer in found] == ["interrupted", "interrupted"]
        made.close()
        made.submit(asked("late"), found.append)
        assert failure(found[2]).code == "interrupted"


def test_the_endpoint_and_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url + "/")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        with engine("meta-llama/Llama-3.1-8B") as made:
            assert answers(made, ["p"])[0].text
        assert server.requests[0]["model"] == "meta-llama/Llama-3.1-8B"
        assert server.headers[0]["Authorization"] == "Bearer sk-test"
        assert OpenAIHTTP.settled(ModelSpec("m", "x")).options == {"base_url": server.base_url}
        assert OpenAIHTTP.settled(ModelSpec("m", "anthropic/claude")).options == {}


def test_openais_own_endpoint_needs_a_key() -> None:
    with pytest.raises(DreamError, match="missing-api-key"), engine("openai/gpt-4o"):
        pass


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
    assert refusal(400, {}, content, "m", "url").failure.message == f"the server refused the request ({said})"


def test_pauses_grow_and_heed_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    passing = refusal(503, {}, b"", "m", "url")
    for tries in range(1, 12):
        longest = min(0.5 * 2**tries, 60.0)
        pauses = [passing.pause(tries) for _ in range(200)]
        assert max(pauses) <= longest
        assert min(pauses) < longest / 4 < longest / 2 < max(pauses)
    assert 7.0 <= refusal(503, {"Retry-After": "7"}, b"", "m", "url").pause(1) <= 7.1


@pytest.mark.parametrize(
    ("headers", "content", "seconds"),
    [
        ({"Retry-After": "7"}, b"", 7),
        ({"Retry-After": "-1"}, b"", 0),
        ({"Retry-After": "soon"}, b"", None),
        ({"retry-after-ms": "250", "Retry-After": "1"}, b"", 0.25),
        ({"Retry-After": formatdate(0)}, b"", 0),
        ({}, b'{"error": {"details": [{"retryDelay": "34.5s"}]}}', 34.5),
        ({}, b"Please try again in 1.2s.", 1.2),
        ({}, b"Please try again in 20ms.", 0.02),
        ({}, b"", None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], content: bytes, seconds: float | None) -> None:
    assert refusal(429, headers, content, "m", "url").after == seconds


def test_when_nine_of_ten_answers_are_429_all_rows_are_answered() -> None:
    def refuse(body: dict[str, Any], number: int) -> Trouble | None:
        return Trouble(429) if number % 10 else None

    said: list[str] = []
    with LoopbackServer(trouble=refuse) as server, engine(base_url=server.base_url, retries=1, said=said) as made:
        found = answers(made, [str(number) for number in range(200)])
    assert [answer.error for answer in found] == [None] * 200
    assert len(said) == 1 and "too many requests" in said[0]


def test_too_many_requests_for_longer_than_the_patience() -> None:
    def refuse(body: dict[str, Any], number: int) -> Trouble | None:
        return Trouble(429) if prompt_of(body) == "bad" else None

    with LoopbackServer(trouble=refuse) as server, engine(base_url=server.base_url, patience=0.1) as made:
        good = answers(made, ["good"])[0]
        bad = failure(answers(made, ["bad"])[0])
        assert good.error is None
        assert (bad.code, bad.fatal) == ("rate-limited", False)
        assert "`patience`" in bad.hint
    always = first(999, Trouble(429))
    with LoopbackServer(trouble=always) as server, engine(base_url=server.base_url, patience=0.1) as made:
        assert failure(answers(made, ["p"])[0]).fatal


def test_a_server_that_asks_to_wait_longer_than_the_patience_ends_the_job() -> None:
    with LoopbackServer(trouble=first(9, Trouble(429, {"Retry-After": "7200"}))) as server:
        with engine(base_url=server.base_url) as made:
            assert failure(answers(made, ["p"])[0]).fatal
        assert server.count == 1


def test_reasoning_and_the_tokens_that_the_provider_had() -> None:
    usage = {"prompt_tokens_details": {"cached_tokens": 7}}
    more = {"reasoning_content": "let me see"}
    with LoopbackServer(more=more, usage=usage) as server, engine(base_url=server.base_url) as made:
        [answer] = answers(made, ["p"])
    assert (answer.reasoning, answer.cached_tokens) == ("let me see", 7)


def test_an_error_in_a_good_status_is_an_error() -> None:
    def gateway(body: dict[str, Any], number: int) -> Trouble | None:
        return Trouble(200, message="no credits", code=402)

    with LoopbackServer(trouble=gateway) as server, engine(base_url=server.base_url) as made:
        assert failure(answers(made, ["p"])[0]).code == "out-of-quota"
        assert server.count == 1


def test_copies_share_one_queue_by_who_is_free() -> None:
    with LoopbackServer(hold_from=2) as slow, LoopbackServer() as fast:
        urls = [slow.base_url, fast.base_url]
        with engine(base_url=urls, concurrency=2) as made:
            assert made.window == 4
            prompts = [str(number) for number in range(40)]
            found: list[Answer] = []
            for prompt in prompts:
                made.submit(asked(prompt), found.append)
            fast.wait_for(36)  # two stay with the slow one, which answered two before
            slow.release()
            slow.wait_for(3)
            assert slow.count + fast.count == 40
            assert slow.count <= 4


def test_a_copy_that_is_gone_is_left_out() -> None:
    said: list[str] = []
    with LoopbackServer() as server, engine(base_url=[_nobody(), server.base_url], said=said, concurrency=2) as made:
        found = answers(made, [str(number) for number in range(50)])
        for number in range(50, 100):
            found += answers(made, [str(number)])
        assert all(answer.error is None for answer in found)
        assert server.count == 100
    assert ["left out" in line for line in said] in ([True], [])


def test_a_copy_that_comes_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dispatch, "LOOK_AGAIN_AFTER", 0.01)
    url = _nobody()
    port = int(url.split(":")[2].split("/")[0])
    said: list[str] = []
    with LoopbackServer() as server, engine(base_url=[url, server.base_url], said=said, concurrency=1) as made:
        while not said:
            answers(made, ["p", "q"])
        with LoopbackServer(port=port) as back:
            while not back.count:
                answers(made, ["p", "q"])
    assert "left out" in said[0] and said[1:] == [f"{url} answers again"]


def test_a_later_job_finds_a_server_that_was_gone() -> None:
    url = _nobody()
    with engine(base_url=url) as made:
        assert failure(answers(made, ["p"])[0]).code == "endpoint-unreachable"
        with LoopbackServer(port=int(url.split(":")[2].split("/")[0])):
            assert [answer.error for answer in answers(made, ["p", "q", "r"])] == [None] * 3


def test_one_list_of_copies_has_the_key_of_its_first() -> None:
    one, two = "http://one/v1", "http://two/v1"
    alone = OpenAIHTTP.settled(ModelSpec("m", "x", "api", {"base_url": one}))
    several = OpenAIHTTP.settled(ModelSpec("m", "x", "api", {"base_url": [one + "/", two]}))
    assert alone.options == {"base_url": one}
    assert several.options == {"base_url": one, "replicas": [two]}
    assert not OpenAIHTTP.Options.declared()["replicas"].result
    assert OpenAIHTTP.settled(several) == several


def test_requests_a_minute_hold_for_all_engines_of_a_build(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        with (
            engine(base_url=server.base_url, rpm=1, shared=tmp_path / "shared") as one,
            engine(base_url=server.base_url, rpm=1, shared=tmp_path / "shared") as two,
        ):
            assert answers(one, ["p"])[0].text
            found: list[Answer] = []
            two.submit(asked("q"), found.append)
            one.submit(asked("r"), found.append)
        assert [failure(answer).code for answer in found] == ["interrupted"] * 2
        assert server.prompts == ["p"]


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "")
        with engine(base_url="http://model.invalid/v1") as made:
            assert answers(made, ["p"])[0].text
        assert proxy.headers[0]["Host"] == "model.invalid"
        monkeypatch.setenv("no_proxy", "model.invalid")
        with engine(base_url="http://model.invalid/v1") as made:
            assert failure(answers(made, ["p"])[0]).code == "endpoint-unreachable"


def _nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
