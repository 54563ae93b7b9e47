"""What answers cost: counted by a price, bounded by a budget, asked of a real server on loopback."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.server import LoopbackServer

ROWS = 60

DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"
        temperature: 0
        max_tokens: 10
        concurrency: {concurrency}
        price: {price}

    rule answers:
        output: "data/answers"
        load: "rows.csv"
        prompt answer:
            model: teacher
            prompt: "Say {{{{ word }}}} now."

    rule other:
        output: "data/other"
        load: "rows.csv"
        prompt answer:
            model: teacher
            prompt: "Tell me of {{{{ word }}}}."
"""
PRICE = '{"input": 1000, "output": 2000}'
"""A thousandth of a dollar for each word that is sent, two for each that comes back."""


def project_in(folder: Path, server: LoopbackServer, *, price: str = PRICE, concurrency: int = 4) -> Project:
    project = Project(folder).write(DREAMFILE.format(url=server.base_url, price=price, concurrency=concurrency))
    project.file("rows.csv", "word\n" + "".join(f"word{number}\n" for number in range(ROWS)))
    return project


def cost_of(server: LoopbackServer) -> float:
    """What the server's requests cost, by its own count: three or four words sent, two words back."""
    return sum(len(prompt.split()) * 0.001 + 2 * 0.002 for prompt in server.prompts)


def finished(project: Project, *words: str) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """Exit code of a build, its last event, and the diagnostics of the jobs that failed."""
    result = project.run(*words, "--json")
    failed = [
        diagnostic for event in result.events if event["event"] == "job-failed" for diagnostic in event["diagnostics"]
    ]
    return result.code, result.events[-1], failed


def test_cost_is_in_the_answers_the_facts_and_the_end(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        code, end, _ = finished(project, "data/answers")
        assert code == 0
        assert end["cost"] == pytest.approx(cost_of(server))
        [job] = project.ok("log", "--json").document["jobs"]
        assert job["facts"]["cost"] == pytest.approx(cost_of(server))
        [file] = (tmp_path / ".dreammake/prompts").glob("*.sqlite")
        kept = [json.loads(text) for (text,) in sqlite3.connect(file).execute("select answer from answers")]
        assert sum(answer["cost"] for answer in kept) == pytest.approx(cost_of(server))
        assert {answer["prompt_tokens"] for answer in kept} == {3}
        assert "$0.42" in project.ok("status").out
        (tmp_path / "data/answers/dreammake.json").unlink()
        assert finished(project, "data/answers")[1]["cost"] == 0, "what is cached costs nothing"


def test_the_dry_run_tells_tokens_dollars_and_time(tmp_path: Path) -> None:
    with LoopbackServer(latency=0.01) as server:
        project = project_in(tmp_path, server)
        before = project.ok("data/answers", "-n", "--json").document["targets"][0]["prompts"]
        assert before["cost"] > 0
        assert before["seconds"] is None, "nothing was measured yet"
        project.ok("data/answers")
        after = project.ok("data/other", "-n", "--json").document["targets"][0]["prompts"]
        assert after["seconds"] >= ROWS / 4 * 0.01
        assert after["cost"] == pytest.approx(ROWS * (len("Tell me of word00.") / 4 * 0.001 + 2 * 0.002), rel=0.1)
        assert "~$" in project.ok("data/other", "-n").out


def test_a_price_comes_from_the_table(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.edit(f"    price: {PRICE}\n", "\n")
        project.edit("openai/test", "openai/gpt-4o")
        dry = project.ok("data/answers", "-n", "--json").document["targets"][0]["prompts"]
        assert dry["cost"] > 0
        _, end, _ = finished(project, "data/answers")
        assert end["cost"] == pytest.approx(ROWS * (3 * 2.5e-6 + 2 * 10e-6))


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_budget_is_kept_and_so_is_what_was_paid(tmp_path: Path, concurrency: int) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server, concurrency=concurrency)
        code, end, [failure] = finished(project, "data/answers", "--budget", "0.2")
        assert code == 1
        assert failure["code"] == "budget-reached"
        asked = server.count
        assert 0 < asked < ROWS
        assert cost_of(server) <= 0.2
        assert end["cost"] == pytest.approx(cost_of(server))
        assert 0.2 - cost_of(server) < 0.05, "the budget was used"
        assert end["left"]["prompts"] == ROWS - asked

        code, end, [failure] = finished(project, "data/answers", "--budget", "0.1")
        assert end["cost"] <= 0.1
        project.ok("data/answers", "--budget", "10")
        assert sorted(server.prompts) == sorted(set(server.prompts)), "nothing was paid twice"
        assert server.count == ROWS


def test_all_workers_share_one_budget(tmp_path: Path) -> None:
    with LoopbackServer(hold_from=0) as server:
        project = project_in(tmp_path, server, concurrency=4)
        # A job has four requests at once, so the fifth is the other's.
        both = Thread(target=lambda: (server.wait_for(5), server.release()))
        both.start()
        code, end, failures = finished(project, "data/answers", "data/other", "-k", "-j2", "--budget", "0.3")
        both.join()
        assert code == 1
        assert {failure["code"] for failure in failures} == {"budget-reached"}
        assert cost_of(server) <= 0.3
        assert end["cost"] == pytest.approx(cost_of(server))
        assert {prompt.split()[0] for prompt in server.prompts} == {"Say", "Tell"}, "both were asked"


def test_a_budget_says_what_was_spent_and_what_is_left(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        result = project_in(tmp_path, server).run("data/answers", "--budget", "0.2")
        assert "the budget of $0.20 is reached" in result.err + result.out
        assert f"left to do: {ROWS - server.count} prompts" in result.out


def test_a_budget_wants_a_price(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.edit(f"    price: {PRICE}\n", "\n")
        result = project.run("data/answers", "--budget", "1")
        assert result.code == 2
        assert "error[unknown-price]" in result.err
        assert server.count == 0
        project.edit("max_tokens: 10", "max_tokens: 10\n    price: 0")
        project.ok("data/answers", "--budget", "0")


def test_a_wrong_price_and_a_wrong_budget_are_told(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server, price='{"inptu": 3}')
        assert "error[wrong-type]" in project.run("-n").err
        assert "--budget takes dollars" in project_in(tmp_path, server).run("--budget=-1").err
