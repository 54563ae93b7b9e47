"""Asking: what is asked, what is not, in which order answers come, and what is kept when things end badly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.server import LoopbackServer, Trouble, prompt_of

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Engine, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.run.asking import AHEAD, CHUNK, Asker, Stats

CATALOG = Catalog()


def engine_of(name: str) -> type[Engine]:
    return CATALOG.find("models", name)  # type: ignore[no-any-return]


def request(prompt: str) -> Request:
    return Request(({"role": "user", "content": prompt},))


def requests(prompts: Iterable[str]) -> Iterator[Request]:
    return map(request, prompts)


def spec(server: LoopbackServer, **options: Any) -> ModelSpec:
    return ModelSpec("teacher", "some/model", "api", {"base_url": server.base_url, **options})


def rows(count: int) -> list[str]:
    return [f"prompt {number}" for number in range(count)]


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Callable[[], Asker]]:
    """Makes askers over one folder of caches: each is as a new run of the program."""
    made: list[Asker] = []

    def make() -> Asker:
        made.append(Asker(tmp_path / "prompts", engine_of, EngineContext(path=tmp_path.joinpath)))
        return made[-1]

    yield make
    for asker in made:
        asker.close()


Make = Callable[[], Asker]


def texts(asker: Asker, model: ModelSpec, prompts: Iterable[str]) -> list[str | None]:
    return [answer.text for answer in asker.ask(model, requests(prompts))]


def test_answers_come_in_the_order_of_the_requests(asker: Make) -> None:
    with LoopbackServer(answer=lambda body: prompt_of(body).upper(), latency=0.001) as server:
        assert texts(asker(), spec(server, concurrency=16), rows(1000)) == [row.upper() for row in rows(1000)]
        assert 1 < server.most_at_once <= 16


def test_an_edit_of_one_row_of_a_thousand_is_one_request(asker: Make) -> None:
    with LoopbackServer() as server:
        before = texts(asker(), spec(server), rows(1000))
        edited = rows(1000)
        edited[417] = "edited"
        after = texts(asker(), spec(server), edited)
        assert server.prompts[1000:] == ["edited"]
        assert [a == b for a, b in zip(before, after, strict=True)].count(False) == 1


def test_appending_a_row_is_one_request_and_reordering_none(asker: Make) -> None:
    with LoopbackServer() as server:
        before = texts(asker(), spec(server), rows(300))
        assert texts(asker(), spec(server), [*rows(300), "appended"])[:300] == before
        assert server.count == 301
        assert texts(asker(), spec(server), reversed(rows(300))) == before[::-1]
        assert server.count == 301


def test_equal_requests_are_asked_once_where_sampling_is_deterministic(asker: Make) -> None:
    with LoopbackServer(hold_from=0) as server:
        answers = asker().ask(spec(server, temperature=0.0), requests(["same"] * 500 + ["other"] + ["same"] * 3000))
        server.release()
        assert len({answer.text for answer in answers}) == 2
        assert sorted(server.prompts) == ["other", "same"]


def test_equal_requests_are_separate_samples_otherwise(asker: Make) -> None:
    def drawn(body: dict[str, Any], count: list[int] = []) -> str:  # noqa: B006
        count.append(1)
        return f"sample {len(count)}"

    with LoopbackServer(answer=drawn) as server:
        model = spec(server, temperature=1.0, concurrency=1)
        first = texts(asker(), model, ["same"] * 3)
        assert first == ["sample 1", "sample 2", "sample 3"]
        mixed = texts(asker(), model, ["new", "same", "same", "new", "same"])
        assert mixed == ["sample 4", *first[:2], "sample 5", first[2]]
        assert texts(asker(), model, ["same"] * 5)[:3] == first
        assert server.prompts.count("same") == 5


def test_each_sample_has_its_own_seed_from_the_users(asker: Make) -> None:
    with LoopbackServer() as server:
        texts(asker(), spec(server, seed=7, concurrency=1), ["a", "same", "same"])
        assert [body["seed"] for body in server.requests] == [7, 7, 8]
        texts(asker(), spec(server, seed=8), ["same"])
        assert server.count == 4
        texts(asker(), spec(server), ["same"])
        assert "seed" not in server.requests[-1]


def test_an_answer_that_ended_by_itself_serves_a_higher_limit(asker: Make) -> None:
    with LoopbackServer(answer=lambda body: "one two three four") as server:
        assert texts(asker(), spec(server, max_tokens=3), ["p"]) == ["one two three"]
        assert texts(asker(), spec(server, max_tokens=10), ["p"]) == ["one two three four"]
        assert server.count == 2
        for limit in (4, 11, None, 10):
            assert texts(asker(), spec(server, max_tokens=limit), ["p"]) == ["one two three four"]
        assert texts(asker(), spec(server, max_tokens=3), ["p"]) == ["one two three"]
        assert server.count == 2
        assert texts(asker(), spec(server, max_tokens=2), ["p"]) == ["one two"]
        assert server.count == 3


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"temperature": 0.5}, 2),
        ({"top_p": 0.5}, 2),
        ({"stop": ["x"]}, 2),
        ({"system": "Be brief."}, 2),
        ({"presence_penalty": 1.0}, 2),
        ({"extra": {"min_p": 0.1}}, 2),
        ({"seed": 3}, 2),
        ({"concurrency": 2, "timeout": 5.0, "retries": 1, "rpm": 100_000, "price": 1.0}, 1),
        ({"api_key": "another"}, 1),
        ({"temperature": None}, 1),
    ],
)
def test_what_asks_again_and_what_does_not(asker: Make, change: dict[str, Any], asked: int) -> None:
    with LoopbackServer() as server:
        texts(asker(), spec(server), ["p"])
        texts(asker(), replace(spec(server, **change), name="renamed"), ["p"])
        assert server.count == asked


def test_the_system_prompt_goes_before_messages_that_have_none(asker: Make) -> None:
    with LoopbackServer() as server:
        own = Request(({"role": "system", "content": "Own."}, {"role": "user", "content": "p"}))
        list(asker().ask(spec(server, system="Be brief.", concurrency=1), [request("p"), own]))
        assert [body["messages"][0]["content"] for body in server.requests] == ["Be brief.", "Own."]


def test_uses_that_differ_in_sampling_share_an_engine_but_not_their_options(asker: Make) -> None:
    with LoopbackServer() as server:
        one = asker()
        texts(one, spec(server, temperature=0.0, stop=["x"], max_tokens=5), ["p"])
        texts(one, spec(server), ["p"])
        assert [set(body) - {"model", "messages"} for body in server.requests] == [
            {"temperature", "stop", "max_tokens"},
            set(),
        ]
        assert len(one._lanes) == 1


def test_a_failed_request_is_an_answer_and_is_not_kept(asker: Make) -> None:
    def refuse(body: dict[str, Any], number: int) -> Trouble | None:
        return Trouble(400, message="too long") if prompt_of(body) == "prompt 3" and number < 10 else None

    with LoopbackServer(trouble=refuse) as server:
        answers = list(asker().ask(spec(server), requests(rows(10))))
        assert [number for number, answer in enumerate(answers) if answer.error] == [3]
        assert answers[3].error is not None and "too long" in answers[3].error.message
        assert None not in texts(asker(), spec(server), rows(10))
        assert server.prompts[10:] == ["prompt 3"]


def test_a_fatal_failure_stops_the_job_and_keeps_what_came(asker: Make) -> None:
    def refuse(body: dict[str, Any], number: int) -> Trouble | None:
        return Trouble(401, message="bad key") if number >= 20 else None

    with LoopbackServer(trouble=refuse) as server:
        with pytest.raises(DreamError) as raised:
            list(asker().ask(spec(server, concurrency=4), requests(rows(1000))))
        assert raised.value.exit_code == 1
        assert raised.value.diagnostics[0].code == "bad-api-key"
        assert server.count < 30
        server.trouble = lambda body, number: None
        asked = server.count
        assert None not in texts(asker(), spec(server), rows(1000))
        assert server.count - asked == 980


def test_a_consumer_that_stops_early_leaves_the_engine_free_for_the_next(asker: Make) -> None:
    with LoopbackServer() as server:
        one = asker()
        answers = one.ask(spec(server, concurrency=4), requests(rows(5000)))
        taken = [next(answers).text for _ in range(5)]
        answers.close()  # type: ignore[attr-defined]
        assert texts(one, spec(server, concurrency=4), rows(5)) == taken
        assert server.count < 5000


def test_requests_are_drawn_no_further_than_a_bound(asker: Make) -> None:
    drawn = 0

    def endless() -> Iterator[Request]:
        nonlocal drawn
        while True:
            drawn += 1
            yield request(f"prompt {drawn}")

    with LoopbackServer() as server:
        answers = asker().ask(spec(server, concurrency=4), endless())
        for _ in range(10):
            next(answers)
        assert drawn <= 10 + AHEAD + 4 + CHUNK
        answers.close()  # type: ignore[attr-defined]


def test_one_ask_may_feed_another_of_the_same_model(asker: Make) -> None:
    with LoopbackServer(answer=lambda body: prompt_of(body) + "!") as server:
        one = asker()
        model = spec(server, concurrency=3)
        first = one.ask(model, requests(rows(3000)))
        second = one.ask(model, (request(str(answer.text)) for answer in first))
        assert [answer.text for answer in second] == [f"{row}!!" for row in rows(3000)]
        assert server.count == 6000
        assert server.most_at_once <= 3


def test_what_a_source_raises_is_raised(asker: Make) -> None:
    def broken() -> Iterator[Request]:
        yield from requests(rows(5))
        raise KeyboardInterrupt

    with LoopbackServer() as server, pytest.raises(KeyboardInterrupt):
        list(asker().ask(spec(server), broken()))


def test_stats_count_requests_tokens_and_dollars(asker: Make) -> None:
    with LoopbackServer(answer=lambda body: "two words") as server:
        model = spec(server, price={"input": 1_000_000, "output": 2_000_000})
        one = asker()
        texts(one, model, ["a b c", "d"])
        assert one.stats == Stats(cached=0, asked=2, failed=0, prompt_tokens=4, completion_tokens=4, cost=12.0)
        one.stats = Stats()
        texts(one, model, ["a b c", "d", "e"])
        assert one.stats == Stats(cached=2, asked=1, failed=0, prompt_tokens=1, completion_tokens=2, cost=5.0)


def test_keys_are_written_nowhere(asker: Make, tmp_path: Path) -> None:
    with LoopbackServer() as server:
        one = asker()
        texts(one, spec(server, api_key="sk-very-secret"), ["p"])
        one.close()
        assert server.headers[0]["Authorization"] == "Bearer sk-very-secret"
        assert not any(b"sk-very-secret" in file.read_bytes() for file in (tmp_path / "prompts").iterdir())


def test_a_model_that_is_a_target_is_known_by_its_content(asker: Make) -> None:
    with LoopbackServer() as server:
        model = replace(spec(server), model="models/round1", target=True)
        for fingerprint in ("aaaa", "bbbb", "aaaa"):
            one = asker()
            one.identities = {"models/round1": fingerprint}
            texts(one, model, ["p"])
        assert server.count == 2


def test_a_target_that_was_rebuilt_gets_a_new_engine(asker: Make) -> None:
    model = ModelSpec("policy", "models/round1", "scripted", {"default": "x"}, target=True)
    one = asker()
    for fingerprint in ("aaaa", "bbbb"):
        one.identities = {"models/round1": fingerprint}
        texts(one, model, ["p"])
    assert len(one._lanes) == 2


def test_seeds_come_from_content_and_never_from_order(asker: Make, tmp_path: Path) -> None:
    model = ModelSpec("poet", "table", "scripted", {"answers": [f"verse {n}" for n in range(1000)]})
    shuffled = ["x", *reversed(rows(50)), "y", "prompt 7"]
    first = dict(zip(rows(50), texts(asker(), model, rows(50)), strict=True))
    other = Asker(tmp_path / "elsewhere", engine_of, EngineContext(path=tmp_path.joinpath))
    second = dict(zip(shuffled[:-1], texts(other, model, shuffled), strict=False))
    other.close()
    assert {row: second[row] for row in first} == first
    assert len(set(first.values())) > 40


def test_half_characters_are_replaced_before_they_are_kept(asker: Make) -> None:
    with LoopbackServer(answer=lambda body: "half \ud83d é") as server:
        assert texts(asker(), spec(server), ["p"]) == ["half ? é"]
        assert texts(asker(), spec(server), ["p", "lone \ud83d"])[0] == "half ? é"


_RUN = """
import sys
from pathlib import Path
from dreammake.core.catalog import Catalog
from dreammake.core.engine import EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.run.asking import Asker

folder, base_url = Path(sys.argv[1]), sys.argv[2]
asker = Asker(folder, lambda name: Catalog().find("models", name), EngineContext(path=Path))
model = ModelSpec("m", "some/model", "api", {"base_url": base_url, "concurrency": 4})
for answer in asker.ask(model, (Request(({"role": "user", "content": f"prompt {n}"},)) for n in range(100))):
    print(answer.text, flush=True)
asker.close()
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_loses_at_most_what_was_in_flight(tmp_path: Path, ending: signal.Signals) -> None:
    with LoopbackServer(hold_from=40) as server:
        command = [sys.executable, "-c", _RUN, str(tmp_path / "prompts"), server.base_url]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        assert run.stdout is not None
        seen = [run.stdout.readline() for _ in range(36)]  # 40 were answered; the last may still be on their way
        server.wait_for(44)
        run.send_signal(ending)
        run.communicate()
        assert run.returncode != 0
        server.release()
        again = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
        assert again.stdout.splitlines()[:36] == [line.strip() for line in seen]
        assert len(again.stdout.splitlines()) == 100
        assert server.count <= 100 + 4 + 4


def test_two_processes_ask_the_same_at_once(tmp_path: Path) -> None:
    with LoopbackServer(answer=lambda body, count=[]: f"{count.append(1) or len(count)}") as server:
        command = [sys.executable, "-c", _RUN, str(tmp_path / "prompts"), server.base_url]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
        printed = [run.communicate()[0] for run in both]
        assert [run.returncode for run in both] == [0, 0]
        assert printed[0] == printed[1]
