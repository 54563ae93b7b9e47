"""What is asked, and what is not, counted by a real server on loopback."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.server import LoopbackServer

ROWS = 1000

DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"
        temperature: 0
        concurrency: 32

    rule answers:
        output: "data/answers"
        load: "rows.csv"
        prompt answer:
            model: teacher
            system: "Be brief."
            prompt: "Say {{{{ word }}}}."
        map size: len(answer)
"""


def csv(words: list[str]) -> str:
    return "word\n" + "".join(f"{word}\n" for word in words)


def words(count: int = ROWS) -> list[str]:
    return [f"word{number}" for number in range(count)]


def test_only_what_changed_is_asked(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = Project(tmp_path).write(DREAMFILE.format(url=server.base_url))
        project.file("rows.csv", csv(words()))

        def asked() -> int:
            before = server.count
            project.ok()
            return server.count - before

        dry = project.ok("-n", "--json").document["targets"][0]["prompts"]
        assert (dry["total"], dry["cached"], dry["to_run"], dry["exact"]) == (ROWS, 0, ROWS, True)
        assert server.count == 0
        assert asked() == ROWS

        edited = words()
        edited[500] = "other"
        project.file("rows.csv", csv(edited))
        dry = project.ok("-n", "--json").document["targets"][0]["prompts"]
        assert (dry["total"], dry["cached"], dry["to_run"], dry["exact"]) == (ROWS, ROWS - 1, 1, True)
        assert asked() == 1, "one row edited"

        project.file("rows.csv", csv([*edited, "last"]))
        assert asked() == 1, "one row appended"

        project.file("rows.csv", csv(words()))
        assert asked() == 0, "the edits taken back"

        shuffled = ["word0", *words()]
        random.Random(1).shuffle(shuffled)
        project.file("rows.csv", csv(shuffled))
        assert asked() == 0, "rows reordered, and one twice, at temperature 0"

        project.edit("len(answer)", "len(answer) + 1")
        assert asked() == 0, "only a map after the prompt changed"

        project.edit("Be brief.", "Be wordy.")
        assert asked() == ROWS, "the system prompt changed"
        project.edit("concurrency: 32", "concurrency: 4\n    timeout: 30\n    retries: 1\n    api_key: 'k'")
        assert asked() == 0, "transport changed"


def test_answers_are_the_rows_own(tmp_path: Path) -> None:
    with LoopbackServer(answer=lambda body: body["messages"][-1]["content"].upper()) as server:
        project = Project(tmp_path).write(DREAMFILE.format(url=server.base_url))
        project.file("rows.csv", csv(words(100)))
        project.ok()
        assert [row["answer"] for row in project.rows("data/answers")] == [f"SAY WORD{n}." for n in range(100)]
        assert server.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_raising_count_asks_the_difference(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = Project(tmp_path).write(
            f"""
            config:
                n: 10

            model teacher: "openai/test"
                base_url: "{server.base_url}"

            rule ideas:
                output: "data/ideas"
                generate idea:
                    model: teacher
                    count: config.n
                    prompt: "An idea."
            """
        )
        project.ok()
        assert server.count == 10
        project.ok("--config", "n=13")
        assert server.count == 13
        assert len(project.rows("data/ideas")) == 13
        project.ok("--config", "n=5")
        assert server.count == 13


def test_a_dry_run_asks_and_writes_nothing(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = Project(tmp_path).write(DREAMFILE.format(url=server.base_url))
        project.file("rows.csv", csv(words(5)))
        before = sorted(tmp_path.rglob("*"))
        assert "5 prompts: 0 cached, 5 to run" in project.ok("-n").out
        assert sorted(tmp_path.rglob("*")) == before
        assert server.count == 0


@pytest.mark.slow
def test_killed_twenty_times_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    """kill -9 of the build at random moments: equal bytes in the end, and only what was in flight is asked again."""
    rows, flight = 400, 4
    with LoopbackServer(latency=0.01) as server:
        text = DREAMFILE.format(url=server.base_url).replace("concurrency: 32", f"concurrency: {flight}")
        (tmp_path / "clean").mkdir()
        (tmp_path / "killed").mkdir()
        clean = Project(tmp_path / "clean").write(text)
        clean.file("rows.csv", csv(words(rows)))
        clean.ok()
        assert server.count == rows
        server.requests.clear()
        killed = Project(tmp_path / "killed").write(text)
        killed.file("rows.csv", csv(words(rows)))
        chance = random.Random(7)
        kills = 0
        for _ in range(20):
            process = killed.start()
            time.sleep(chance.uniform(0.1, 0.7))
            if process.poll() is None:
                process.kill()
                kills += 1
            process.communicate()
        killed.ok()
        assert kills >= 5, "the builds ended before they could be killed"
        again = sum(count - 1 for count in Counter(server.prompts).values())
        assert again <= kills * flight
        assert len(set(server.prompts)) == rows
        for file in (clean.root / "data/answers").iterdir():
            assert (killed.root / "data/answers" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_dry_run_says_where_nobody_has_counted_the_rows(tmp_path: Path) -> None:
    dreamfile = """
        model teacher: "a table"
            engine: "scripted"
            answers: {".": "yes"}

        rule all:
            input: "data/words"
            output: "data/answers"
            prompt answer:
                model: teacher
                prompt: "{{ word }}"

        rule words:
            output: "data/words"
            load: "rows.csv"
    """
    project = Project(tmp_path).write(dreamfile)
    project.file("rows.csv", csv(words(3)))
    said = project.ok("--dry-run").out
    assert "prompts: their number is not known yet" in said
    assert said.endswith("2 to build: how many prompts is not known yet\n")
    project.ok("data/words")
    assert "1 to build, 1 up to date: 3 prompts to run" in project.ok("--dry-run").out
