"""Faults that other LLM workflow tools were seen to have (PEERS.md), one test each, counted by a real server."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.project import Project
from tests.support.server import Body, LoopbackServer, Trouble, prompt_of

DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"
        concurrency: 16

    rule answers:
        output: "data/answers"
        load: "rows.csv"
        prompt answer:
            model: teacher
            system: "Be brief."
            prompt: "Say {{{{ word }}}}."
"""


def project_in(folder: Path, server: LoopbackServer, words: list[str]) -> Project:
    project = Project(folder).write(DREAMFILE.format(url=server.base_url))
    write_rows(project, words)
    return project


def write_rows(project: Project, words: list[str]) -> None:
    project.file("rows.csv", "word\n" + "".join(f"{word}\n" for word in words))


def words(count: int) -> list[str]:
    return [f"word{number}" for number in range(count)]


def upper(body: Body) -> str:
    return prompt_of(body).upper()


def answers(project: Project) -> list[str]:
    return [row["answer"] for row in project.rows("data/answers")]


def asked_by(server: LoopbackServer, act: Callable[[], object]) -> int:
    before = server.count
    act()
    return server.count - before


def cached_texts(project: Project) -> list[str]:
    """Every answer in every prompt cache, as it is stored."""
    found = []
    for file in (project.root / ".dreammake" / "prompts").glob("*.sqlite"):
        connection = sqlite3.connect(file)
        found += [text for (text,) in connection.execute("select answer from answers")]
        connection.close()
    return found


def test_one_row_of_a_thousand_edited_is_one_call_and_its_answer_is_new(tmp_path: Path) -> None:
    """Curator asks 1,000; Data Designer and distilabel ask none and serve the old answer."""
    with LoopbackServer(upper) as server:
        project = project_in(tmp_path, server, words(1000))
        assert asked_by(server, project.ok) == 1000
        edited = words(1000)
        edited[417] = "edited"
        write_rows(project, edited)
        assert asked_by(server, project.ok) == 1
        assert answers(project)[416:419] == ["SAY WORD416.", "SAY EDITED.", "SAY WORD418."]


def test_a_changed_system_prompt_asks_every_row(tmp_path: Path) -> None:
    """Curator and DataDreamer ask none and serve the old answers."""
    with LoopbackServer() as server:
        project = project_in(tmp_path, server, words(1000))
        assert asked_by(server, project.ok) == 1000
        old = answers(project)
        project.edit("Be brief.", "Be wordy.")
        assert asked_by(server, project.ok) == 1000
        assert set(old).isdisjoint(answers(project))


def test_an_appended_row_is_one_call_and_is_there(tmp_path: Path) -> None:
    """Curator asks all; distilabel asks none, and the row is missing."""
    with LoopbackServer(upper) as server:
        project = project_in(tmp_path, server, words(200))
        project.ok()
        write_rows(project, [*words(200), "appended"])
        assert asked_by(server, project.ok) == 1
        assert answers(project)[-1] == "SAY APPENDED."


def test_killed_midway_only_what_was_in_flight_is_asked_again(tmp_path: Path) -> None:
    """Data Designer repeats all; distilabel hangs."""
    with LoopbackServer(upper, hold_from=120) as server:
        project = project_in(tmp_path, server, words(300))
        process = project.start()
        server.wait_for(120 + 16)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        server.release()
        project.ok()
        assert answers(project) == [f"SAY {word.upper()}." for word in words(300)]
        repeated = sum(count - 1 for count in Counter(server.prompts).values())
        assert repeated <= 2 * 16, "what was in flight, and what was not yet on the disk"


def test_one_refused_row_loses_no_other(tmp_path: Path) -> None:
    """Curator returns nothing; Data Designer drops the row; distilabel nulls 31 good answers."""
    refuse = lambda body, number: Trouble(400) if "word7." in prompt_of(body) else None  # noqa: E731
    with LoopbackServer(upper, trouble=refuse) as server:
        project = project_in(tmp_path, server, words(64))
        assert project.run().code == 1
        assert server.count == 64, "HTTP 400 is not tried again"
        server.trouble = lambda body, number: None
        assert asked_by(server, project.ok) == 1
        assert len(answers(project)) == 64
        assert None not in answers(project)


def test_nine_of_ten_answers_429_end_with_all_rows(tmp_path: Path) -> None:
    """Data Designer ends without records."""

    def busy(body: Body, number: int) -> Trouble | None:
        return Trouble(429, {"Retry-After": "0"}) if number % 10 else None

    with LoopbackServer(upper, trouble=busy) as server:
        project = project_in(tmp_path, server, words(30))
        project.ok()
        assert answers(project) == [f"SAY {word.upper()}." for word in words(30)]
        assert not any("429" in text for text in cached_texts(project))


def test_a_malformed_answer_is_not_served_again_as_if_it_were_good(tmp_path: Path) -> None:
    """dspy caches it, and every retry reads it from the cache. DataDreamer crashes, or tosses a coin."""
    heard: Counter[str] = Counter()

    def answer(body: Body) -> str:
        heard[prompt_of(body)] += 1
        good = "word1." not in prompt_of(body) or heard[prompt_of(body)] > 4
        return '{"verdict": "A"}' if good else "Both A and B are fine."

    with LoopbackServer(answer) as server:
        project = project_in(tmp_path, server, words(3))
        project.edit(
            'prompt: "Say', 'schema: {"verdict": one_of("A", "B")}\n        on_error: "null"\n        prompt: "Say'
        )
        project.ok()
        assert [row["verdict"] for row in project.rows("data/answers")] == ["A", None, "A"], "null, never a guess"
        assert heard["Say word1."] == 3
        project.ok()
        assert [row["verdict"] for row in project.rows("data/answers")] == ["A", "A", "A"]
        assert heard == {"Say word0.": 1, "Say word1.": 5, "Say word2.": 1}
        assert asked_by(server, project.ok) == 0


def test_errors_are_never_cached(tmp_path: Path) -> None:
    """promptfoo serves error bodies for days."""
    troubles = [Trouble(400, message="policy"), Trouble(200, cut_off=True), Trouble(500), Trouble(200, reset=True)]
    with LoopbackServer(upper, trouble=lambda body, number: troubles[number % 4]) as server:
        project = project_in(tmp_path, server, words(8))
        project.edit("concurrency: 16", "concurrency: 1\n    retries: 0")
        assert project.run().code == 1
        assert cached_texts(project) == []
        server.trouble = lambda body, number: None
        assert asked_by(server, project.ok) == 8
        assert len(cached_texts(project)) == 8


def test_raising_max_tokens_keeps_the_answers_that_ended_by_themselves(tmp_path: Path) -> None:
    """Curator throws all of them away."""
    long = "one two three four five six"
    with LoopbackServer(lambda body: long if "word3." in prompt_of(body) else "short") as server:
        project = project_in(tmp_path, server, words(20))
        project.edit("concurrency: 16", "concurrency: 16\n    max_tokens: 4")
        assert asked_by(server, project.ok) == 20
        project.edit("max_tokens: 4", "max_tokens: 100")
        assert asked_by(server, project.ok) == 1
        assert answers(project)[3] == long
        project.edit("max_tokens: 100", "max_tokens: 4")
        assert asked_by(server, project.ok) == 0, "and the one that was cut is kept for its limit"
        assert answers(project)[3] == "one two three four"


def test_two_processes_share_a_folder_and_repeat_nothing(tmp_path: Path) -> None:
    with LoopbackServer(upper, latency=0.002) as server:
        project = project_in(tmp_path, server, words(200))
        processes = [project.start() for _ in range(2)]
        for process in processes:
            out, err = process.communicate(timeout=100)
            assert process.returncode == 0, out + err
        assert Counter(server.prompts) == {f"Say {word}.": 1 for word in words(200)}


def test_a_key_that_is_refused_ends_the_job_at_once(tmp_path: Path) -> None:
    """DataDreamer tries HTTP 401 for ever."""
    with LoopbackServer(trouble=lambda body, number: Trouble(401, message="who are you?")) as server:
        project = project_in(tmp_path, server, words(500))
        failed = project.run()
        assert failed.code == 1
        assert "error[bad-api-key]" in failed.out + failed.err
        assert server.count <= 2 * 16


def test_one_overlong_row_does_not_fail_the_step(tmp_path: Path) -> None:
    """DataDreamer fails the whole step."""
    overflow = Trouble(400, message="no", code="context_length_exceeded")
    refuse = lambda body, number: overflow if "word2." in prompt_of(body) else None  # noqa: E731
    with LoopbackServer(upper, trouble=refuse) as server:
        project = project_in(tmp_path, server, words(5))
        project.edit('prompt: "Say', 'on_error: "skip"\n        prompt: "Say')
        project.ok()
        assert len(answers(project)) == 4
        [error] = project.ok("show", "data/answers", "--errors", "--json").document["errors"]
        assert (error["code"], error["values"]) == ("context-overflow", {"word": "word2"})
        assert project.plan() == {"data/answers": "fresh"}, "it stays too long, so nobody tries it again"


def test_a_slow_request_holds_up_no_other(tmp_path: Path) -> None:
    """DataDreamer's batches wait for their slowest member."""
    with LoopbackServer(upper, latency=lambda body, number: 0.0 if number else 60.0) as server:
        project = project_in(tmp_path, server, words(200))
        project.edit("concurrency: 16", "concurrency: 2")
        process = project.start()
        server.wait_for(200)
        assert process.poll() is None, "all the others were asked while the first one took its time"
        process.kill()
        process.communicate()
