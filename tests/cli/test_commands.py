"""The commands around a build: what they show and do, on a real project."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.support.project import Project

DREAMFILE = '''
    """Words and numbers."""

    config:
        least: 2

    rule all:
        input: "data/big", "out/note.txt"

    rule numbers:
        """Some numbers."""
        output: "data/numbers"
        rows: [{"n": 1}, {"n": 2}, {"n": 3}]

    rule big:
        input: "data/numbers"
        output: "data/big"
        filter: n >= config.least
        map text: "number " + str(n)
        tags: "small"

    rule note:
        output: "out/note.txt"
        shell: "echo noted > {output}"
'''


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path).write(DREAMFILE)


def test_status_tells_fresh_from_stale(project: Project) -> None:
    assert "absent  data/big" in project.ok("status").out
    project.ok()
    assert "all is up to date (3 targets)" in project.ok("status").out
    project.edit("least: 2", "least: 3")
    said = project.ok("status").out
    assert "fresh   data/numbers" in said
    assert "stale   data/big" in said
    assert "2 -> 3" in said
    states = {one["target"]: one["state"] for one in project.ok("status", "--json").document["targets"]}
    assert states == {"data/numbers": "fresh", "data/big": "stale", "out/note.txt": "fresh"}


def test_list_shows_rules_and_targets(project: Project) -> None:
    said = project.ok("list").out
    assert "Some numbers." in said
    assert "-> data/big" in said
    rules = project.ok("list", "--json").document["rules"]
    assert [rule["rule"] for rule in rules] == ["all", "numbers", "big", "note"]


def test_show_prints_rows(project: Project) -> None:
    project.ok()
    assert project.ok("show", "data/big").out.splitlines()[2:] == ["2  number 2", "3  number 3"]
    shown = project.ok("show", "big", "--rows", "1", "--json").document
    assert (shown["rows"], shown["count"]) == ([{"n": 2, "text": "number 2"}], 2)
    assert project.ok("show", "out/note.txt").out == "noted\n"


def test_log_tells_what_ran(project: Project) -> None:
    assert project.ok("log").out == "nothing ran yet\n"
    project.ok()
    jobs = project.ok("log", "--json").document["jobs"]
    assert {job["target"] for job in jobs} == {"data/numbers", "data/big", "out/note.txt"}
    assert {job["outcome"] for job in jobs} == {"built"}


def test_clean_removes_targets_and_nothing_else(project: Project) -> None:
    project.ok()
    assert "would remove data/big" in project.ok("clean", "-n").out
    assert (project.root / "data/big").exists()
    project.ok("clean", "data/big")
    assert not (project.root / "data/big").exists()
    assert (project.root / "data/numbers").exists()
    assert project.built() == ["data/big"]
    project.ok("clean")
    assert not (project.root / "out/note.txt").exists()
    assert (project.root / "Dreamfile").exists()


def test_accept_takes_a_target_as_it_is(project: Project) -> None:
    project.ok()
    project.file("out/note.txt", "by hand\n")
    assert project.plan()["out/note.txt"] == "build"
    project.ok("accept", "out/note.txt")
    assert set(project.plan().values()) == {"fresh"}
    assert (project.root / "out/note.txt").read_text() == "by hand\n"


def test_accept_needs_a_target_that_is_there(project: Project) -> None:
    assert "error[not-built]" in project.run("accept", "data/big").err


def test_init_writes_a_dreamfile_that_plans(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.ok("init")
    assert project.plan() == {"data/questions": "build", "data/answers": "build"}
    assert "error[file-exists]" in project.run("init").err


def test_selectors(project: Project) -> None:
    project.ok()
    assert project.plan("tag:small") == {"data/numbers": "fresh", "data/big": "fresh"}
    assert project.plan("data/numbers+") == {"data/numbers": "fresh", "data/big": "fresh"}
    assert project.plan("--exclude", "data/numbers") == {"out/note.txt": "fresh"}
    assert project.built("build", "numbers", "-F") == ["data/numbers"]


def test_all_is_everything_where_no_rule_says_what_it_is(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        """
        rule a:
            output: "out/a"
            shell: "echo a > {output}"

        rule b:
            output: "out/b"
            shell: "echo b > {output}"
        """
    )
    assert project.built() == ["out/a"]
    assert project.built("all") == ["out/b"]


def test_check_says_by_its_exit_code_whether_there_is_work(project: Project) -> None:
    assert project.run("--check").code == 1
    project.ok()
    assert project.run("--check").code == 0


def test_config_files_and_options(project: Project) -> None:
    project.file("values.yaml", "least: 3\n")
    project.ok("--configfile", "values.yaml")
    assert [row["n"] for row in project.rows("data/big")] == [3]
    project.ok("--configfile", "values.yaml", "--config", "least=1")
    assert [row["n"] for row in project.rows("data/big")] == [1, 2, 3]
    project.file("values.yaml", "leasst: 3\n")
    assert "did you mean `least`?" in project.run("--configfile", "values.yaml").err


def test_another_folder_file_and_state(project: Project, tmp_path: Path) -> None:
    (tmp_path / "Dreamfile").rename(tmp_path / "other.dream")
    project.ok("-f", "other.dream", "--state-dir", "elsewhere")
    assert (tmp_path / "elsewhere/state.sqlite").exists()
    assert not (tmp_path / ".dreammake").exists()
    inner = tmp_path / "inner"
    inner.mkdir()
    assert "all is up to date" in Project(inner).ok("-C", "..", "-f", "other.dream", "--state-dir", "elsewhere").out


def test_a_target_named_like_a_command(tmp_path: Path) -> None:
    project = Project(tmp_path).write('rule a:\n    output: "status"\n    shell: "echo x > {output}"\n')
    assert project.built("build", "status") == ["status"]


def test_dag(project: Project) -> None:
    assert "flowchart LR" in project.ok("dag", "--mermaid").out
    assert '"data/numbers" -> "data/big" [label="big"];' in project.ok("dag", "--dot").out
    assert "    data/numbers" in project.ok("dag").out


def test_lint_warns_of_a_hidden_name(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        """
        rule a:
            output: "data/a"
            rows: [{"input": "x"}]
            map b: input + "y"
        """
    )
    result = project.ok("lint")
    assert "warning[hidden-name]" in result.out
    assert "Dreamfile:5:12" in result.out


def test_fmt_keeps_comments_and_meaning(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.file("Dreamfile", 'rule a: # why\n  output:   "data/a"\n  rows: [ {"n":1} ]\n')
    assert project.run("fmt", "--check").code == 1
    project.ok()
    project.ok("fmt")
    assert "# why" in (tmp_path / "Dreamfile").read_text()
    assert project.run("fmt", "--check").code == 0
    assert project.built() == []


def test_a_build_as_json_is_one_event_a_line(project: Project) -> None:
    events = project.ok("--json").events
    assert events[0]["event"] == "build-started"
    assert events[-1]["event"] == "build-finished"
    assert {event["version"] for event in events} == {1}


def test_a_closed_pipe_is_quiet(project: Project) -> None:
    import subprocess

    words = " ".join([*project.command("-n"), "|", "head", "-1"])
    done = subprocess.run(
        ["bash", "-c", words], cwd=project.root, env=project.environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert "build" in done.stdout


def test_watch_plans_at_each_change(project: Project) -> None:
    process = project.start("watch")
    try:
        time.sleep(2)
        project.edit("least: 2", "least: 1")
        time.sleep(3)
    finally:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert out.count("3 to build") == 2, out + err
    assert process.returncode == 130


@pytest.mark.parametrize("words", [["--version"], ["-n"], []], ids=["version", "dry run", "nothing to do"])
def test_nothing_heavy_is_imported_before_a_job_needs_it(project: Project, words: list[str]) -> None:
    project.ok()
    heavy = {"torch", "transformers", "datasets", "litellm", "vllm", "ray", "trl", "peft", "aiohttp", "pandas", "lark"}
    probe = (
        "import sys, json; from dreammake.cli.main import main; main(sys.argv[1:]);"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", probe, *words],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert heavy & set(json.loads(done.stderr)) == set()
