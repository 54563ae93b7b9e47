"""A build from the caches alone, and builds that share one cache."""

from __future__ import annotations

from pathlib import Path

from tests.support.project import Project
from tests.support.server import LoopbackServer, Trouble

DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"
        temperature: 0
        concurrency: 4

    rule answers:
        output: "data/answers"
        load: "rows.csv"
        prompt answer:
            model: teacher
            prompt: "Say {{{{ word }}}}."
        prompt again:
            model: teacher
            prompt: "Repeat {{{{ answer }}}}."
            n: 2
            temperature: 0.5
"""
WORDS = [f"word{number}" for number in range(300)]


def project_in(folder: Path, server: LoopbackServer) -> Project:
    folder.mkdir(exist_ok=True)
    project = Project(folder).write(DREAMFILE.format(url=server.base_url))
    project.file("rows.csv", "\n".join(["word", *WORDS]) + "\n")
    return project


def test_everything_is_built_from_the_caches(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.ok()
        before = project.rows("data/answers")
        asked = server.count
        project.ok("clean")
        project.ok("--offline")
        assert project.rows("data/answers") == before
        assert server.count == asked


def test_a_miss_names_the_step_and_the_row(tmp_path: Path) -> None:
    with LoopbackServer(answer=lambda body: "fine") as server:
        project = project_in(tmp_path, server)
        project.ok()
        asked = server.count
        project.file("rows.csv", "\n".join(["word", *WORDS[:270], "other", *WORDS[271:]]) + "\n")
        result = project.run("--offline")
        assert result.code == 1
        assert "error[offline-miss]: `prompt answer`: row 271 has no answer" in result.out
        assert "Say other." in result.out
        project.file("rows.csv", "\n".join(["word", *WORDS, WORDS[0]]) + "\n")
        result = project.run("--offline")
        assert "`prompt again`: row 301 has no answer" in result.out, "two requests a row"
        assert server.count == asked
        assert not list((tmp_path / "data").glob("answers.*"))


def test_two_builds_share_one_cache_and_ask_each_prompt_once(tmp_path: Path) -> None:
    with LoopbackServer(latency=0.002) as server:
        projects = [project_in(tmp_path / name, server) for name in ("one", "two")]
        builds = [project.start("--state-dir", str(tmp_path / "state")) for project in projects]
        for build in builds:
            out, err = build.communicate(timeout=100)
            assert build.returncode == 0, out + err
        assert projects[0].rows("data/answers") == projects[1].rows("data/answers")
        assert server.count == 3 * len(WORDS)


def test_a_body_that_is_cut_off_is_never_kept(tmp_path: Path) -> None:
    with LoopbackServer(trouble=lambda body, number: Trouble(cut_off=True)) as server:
        project = project_in(tmp_path, server)
        project.edit("concurrency: 4", "concurrency: 64\n    retries: 0")
        project.file("rows.csv", "word\na\nb\n")
        assert project.run().code == 1
        assert "no answers" in project.ok("cache", "stats").out or "0 answers" in project.ok("cache", "stats").out
        server.trouble = lambda body, number: None
        project.ok()
        assert len(project.rows("data/answers")) == 2
