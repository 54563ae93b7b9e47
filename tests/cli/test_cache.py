"""`dreammake cache`: what is kept, what it cost, and how it goes."""

from __future__ import annotations

from pathlib import Path

from tests.support.project import Project
from tests.support.server import LoopbackServer

DREAMFILE = """
    config:
        pieces: 3

    model teacher: "openai/teacher"
        base_url: "{url}"
        temperature: 0
        price: 100

    model judge: "openai/judge"
        base_url: "{url}"
        temperature: 0

    rule all:
        input: expand("data/{{n}}", n=range(config.pieces)), "data/after"

    rule answers:
        output: "data/{{n:int}}"
        load: "rows.csv"
        prompt answer:
            model: teacher
            prompt: "Say {{{{ word }}}} {{{{ wildcards.n }}}}."

    rule after:
        input: "data/0"
        output: "data/after"
        prompt verdict:
            model: judge
            prompt: "Judge {{{{ answer }}}}."
"""


def project_in(folder: Path, server: LoopbackServer) -> Project:
    project = Project(folder).write(DREAMFILE.format(url=server.base_url))
    project.file("rows.csv", "word\n" + "".join(f"word{number}\n" for number in range(10)))
    return project


def caches(project: Project) -> dict[str, int]:
    """Answers by model."""
    document = project.ok("cache", "stats", "--json").document
    return {file["model"]: file["answers"] for file in document["caches"]}


def freed(project: Project, *words: str) -> dict[str, int]:
    document = project.ok("cache", "gc", "--json", *words).document
    return {file["model"]: file["answers"] for file in document["freed"]}


def test_stats_tell_a_line_a_model(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        assert project.ok("cache", "stats").out == "no answers are kept here yet\n"
        project.ok()
        lines = project.ok("cache", "stats").out.splitlines()
        assert [line.split()[0] for line in lines] == ["openai/judge", "openai/teacher", "together"]
        document = project.ok("cache", "stats", "teacher", "--json").document
        [teacher] = document["caches"]
        assert (teacher["model"], teacher["answers"]) == ("openai/teacher", 30)
        assert teacher["tokens"] == 30 * 5
        assert abs(teacher["cost"] - 30 * 5 * 1e-4) < 1e-9


def test_gc_drops_what_no_target_reaches(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.ok()
        assert freed(project) == {}
        project.ok("clean")
        assert freed(project) == {}, "the targets are gone, but can be built from what is kept"
        project.ok()
        assert server.count == 40

        project.file("rows.csv", "word\n" + "".join(f"word{number}\n" for number in range(8)))
        project.edit("Judge", "Weigh")
        project.ok()
        assert freed(project, "--dry-run") == {"openai/teacher": 6, "openai/judge": 10}
        assert caches(project) == {"openai/teacher": 30, "openai/judge": 18}
        text = project.ok("cache", "gc").out
        assert "dropped 6 answers" in text
        assert "that cost <$0.01" in text
        assert caches(project) == {"openai/teacher": 24, "openai/judge": 8}
        assert freed(project) == {}
        project.ok("clean")
        project.ok("--offline")


def test_gc_keeps_what_it_cannot_know(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.ok()
        project.edit("Say", "Write")
        assert freed(project) == {"openai/teacher": 30}, "the judge's prompts depend on answers that are still to come"
        assert caches(project) == {"openai/judge": 10}


def test_gc_drops_models_that_are_gone_and_damaged_files(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.ok()
        project.edit('"openai/judge"', '"openai/another"')
        [judge] = (tmp_path / ".dreammake/prompts").glob("*judge*.sqlite")
        assert freed(project) == {"openai/judge": 10}
        assert not judge.exists()
        damaged = tmp_path / ".dreammake/prompts/x.sqlite.damaged-1"
        damaged.write_bytes(b"nothing to read")
        assert "damaged" in project.ok("cache", "stats").out
        project.ok("cache", "gc")
        assert not damaged.exists()


def test_clear_wants_to_be_sure(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.ok()
        refused = project.run("cache", "clear", "teacher")
        assert refused.code == 2
        assert "error[not-confirmed]" in refused.err
        assert "30 answers" in refused.err
        assert "would drop 30 answers" in project.ok("cache", "clear", "teacher", "--dry-run").out
        assert caches(project) == {"openai/teacher": 30, "openai/judge": 10}
        project.ok("cache", "clear", "openai/teacher", "--yes")
        assert caches(project) == {"openai/judge": 10}
        assert "error[no-such-cache]" in project.run("cache", "clear", "teacher", "--yes").err
        project.ok("cache", "clear", "--yes")
        assert caches(project) == {}
