"""Builds: failures, retries, temp and protected targets, growth, interrupts, two at once. Real processes throughout."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.project import Project, interrupt


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def wait_until(condition, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def processes_in(folder: Path) -> list[int]:
    """Processes whose working folder is the project."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd") == str(folder):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


FAILING = """
    rule all:
        input: "out/a", "out/b", "out/c"

    rule a:
        output: "out/a"
        shell: "echo first words; echo broken >&2; exit 3"

    rule b:
        output: "out/b"
        shell: "echo b > {output}"

    rule c:
        input: "out/a"
        output: "out/c"
        shell: "cat {input} > {output}"
"""


def test_a_failed_job_stops_the_build_and_says_where_to_look(project: Project) -> None:
    result = project.write(FAILING).run("-j1")
    assert result.code == 1
    assert "error[command-failed]: the command ended with the exit code 3" in result.out
    assert "broken" in result.out
    log = next(line for line in result.out.splitlines() if line.startswith("log: "))
    assert Path(log.removeprefix("log: ")).read_text() == "first words\nbroken\n"
    assert not (project.root / "out/a").exists()


def test_keep_going_builds_what_does_not_need_the_failed(project: Project) -> None:
    result = project.write(FAILING).run("-k")
    assert result.code == 1
    assert (project.root / "out/b").read_text() == "b\n"
    assert not (project.root / "out/c").exists()
    assert "1 built, 1 failed, 1 not run" in result.out


def test_a_job_is_tried_again_as_often_as_its_rule_says(project: Project) -> None:
    project.write(
        """
        rule a:
            output: "out/a"
            shell: "echo x >> tries; test $(wc -l < tries) = 3 && cp tries {output}"
            retries: 2
        """
    )
    project.ok()
    assert (project.root / "tries").read_text() == "x\nx\nx\n"


def test_each_of_many_short_commands_is_told_by_its_own_end_and_log(project: Project) -> None:
    """What one command made is put in place while the next one runs: they must not mix."""
    project.write(
        """
        rule all:
            input: [f"out/{n}" for n in range(60)]

        rule one:
            output: "out/{n:int}"
            shell: "echo said {wildcards.n}; test $(({wildcards.n} % 5)) = 2 || echo {wildcards.n} > {output}; test $(({wildcards.n} % 3)) != 1"
        """
    )
    result = project.run("-k", "-j2")
    ends = [n for n in range(60) if n % 3 == 1]
    leaves = [n for n in range(60) if n % 3 != 1 and n % 5 == 2]
    built = sorted(set(range(60)) - {*ends, *leaves})
    assert (result.code, f"{len(built)} built, {60 - len(built)} failed" in result.out) == (1, True), result.out
    assert sorted(int(made.name) for made in (project.root / "out").iterdir()) == built
    assert all((project.root / f"out/{n}").read_text() == f"{n}\n" for n in built)
    assert all(f"but did not make `out/{n}`" in result.out for n in leaves)
    said = {log.read_text() for log in project.root.glob(".dreammake/jobs/*/*.log")}
    assert said == {f"said {n}\n" for n in range(60)}


def test_a_command_gets_its_words_quoted(project: Project) -> None:
    project.file("it's here; ok.txt", "words\n")
    project.write(
        """
        config:
            say: "a b'c"

        rule a:
            input:
                text: "it's here; ok.txt"
            output: "out/the copy.txt"
            shell: "cat {input.text} > {output}; echo {config.say} {{braces}} >> {output}"
        """
    )
    project.ok()
    assert (project.root / "out/the copy.txt").read_text() == "words\na b'c {braces}\n"


def test_an_output_is_whole_or_absent(project: Project) -> None:
    project.write(
        """
        rule a:
            output: "out/a"
            shell: "echo half > {output}; exit 1"
        """
    )
    assert project.run().code == 1
    assert not (project.root / "out/a").exists()
    assert list((project.root / ".dreammake/tmp").rglob("a")) == []


def test_a_command_may_write_to_the_target_itself(project: Project) -> None:
    project.write(
        """
        rule a:
            output: "out.txt"
            shell: "echo done > out.txt"
        """
    )
    project.ok()
    assert project.built() == []


def test_several_outputs_of_one_command(project: Project) -> None:
    project.write(
        """
        rule a:
            output:
                one: "out/1"
                two: "out/2"
            shell: "echo 1 > {output.one}; echo 2 > {output.two}"
        """
    )
    assert project.built("out/2") == ["out/1"]
    assert (project.root / "out/2").read_text() == "2\n"
    assert project.built() == []
    (project.root / "out/2").unlink()
    assert project.built() == ["out/1"]


def test_a_worker_that_dies_takes_one_job_with_it(project: Project) -> None:
    project.write(
        """
        rule all:
            input: "data/bad", "data/good"

        rule bad:
            output: "data/bad"
            rows: [{"a": 1}]
            python: "steps.py:die"

        rule good:
            output: "data/good"
            rows: [{"a": 1}]
            python: "steps.py:live"
        """
    )
    project.file(
        "steps.py",
        "import os, signal\n\ndef die(row):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "def live(row):\n    return row\n",
    )
    result = project.run("-k", "-j1")
    assert result.code == 1
    assert "error[worker-lost]" in result.out
    assert "out of memory" in result.out
    assert project.rows("data/good") == [{"a": 1}]


def test_temp_targets_go_when_nothing_needs_them_and_come_back_when_something_does(project: Project) -> None:
    project.write(
        """
        rule all:
            input: "out/c"

        rule a:
            output: temp("out/a")
            shell: "echo a > {output}; echo x >> runs"

        rule b:
            input: "out/a"
            output: temp("out/b")
            shell: "cat {input} > {output}"

        rule c:
            input: "out/b"
            output: "out/c"
            shell: "cat {input} > {output}"
        """
    )
    project.ok()
    assert (project.root / "out/c").read_text() == "a\n"
    assert not (project.root / "out/a").exists()
    assert not (project.root / "out/b").exists()
    assert project.built() == []
    project.edit('shell: "cat {input} > {output}"\n\nrule c', 'shell: "cat {input} {input} > {output}"\n\nrule c')
    project.ok()
    assert (project.root / "out/c").read_text() == "a\na\n"
    assert (project.root / "runs").read_text() == "x\nx\n"
    assert not (project.root / "out/b").exists()


def test_protected_targets_are_read_only(project: Project) -> None:
    project.write(
        """
        rule a:
            output: protected("out/a")
            shell: "echo 1 > {output}"
        """
    )
    project.ok()
    assert stat.S_IMODE((project.root / "out/a").stat().st_mode) == 0o444
    project.edit("echo 1", "echo 2")
    project.ok()
    assert (project.root / "out/a").read_text() == "2\n"


def test_the_graph_grows_by_a_column_of_what_was_built(project: Project) -> None:
    project.write(
        """
        rule all:
            input: expand("out/{c}.txt", c=column("data/names", "name"))

        rule names:
            output: "data/names"
            rows: [{"name": "x"}, {"name": "y"}, {"name": "x"}]

        rule one:
            output: "out/{c}.txt"
            shell: "echo {wildcards.c} > {output}"
        """
    )
    dry = project.ok("-n")
    assert "not known yet" in dry.out
    assert project.built() == ["data/names", "out/x.txt", "out/y.txt"]
    assert project.built() == []
    project.edit('{"name": "y"}', '{"name": "z"}')
    assert project.built() == ["data/names", "out/z.txt"]


def test_a_chain_of_ten_thousand(project: Project) -> None:
    project.write(
        """
        config:
            n: 10000

        rule all:
            input: f"out/c{config.n}"

        rule link:
            input: "source.txt" if i == 1 else "out/c{i - 1}"
            output: "out/c{i:int}"
            shell: "cat {input} > {output}"
        """
    )
    project.file("source.txt", "1\n")
    summary = project.ok("-n", "--json").document["summary"]
    assert (summary["build"], summary["fresh"]) == (10000, 0)


def test_an_edit_of_the_source_reaches_the_end_of_a_chain(project: Project) -> None:
    project.write(
        """
        rule all:
            input: "out/c300"

        rule link:
            input: "source.txt" if i == 1 else "out/c{i - 1}"
            output: "out/c{i:int}"
            shell: "cat {input} > {output}"
        """
    )
    project.file("source.txt", "1\n")
    assert len(project.built()) == 300
    project.file("source.txt", "2\n")
    summary = project.ok("-n", "--json").document["summary"]
    assert (summary["build"], summary["follow"]) == (1, 299)
    assert len(project.built()) == 300
    assert (project.root / "out/c300").read_text() == "2\n"


SLOW = """
    rule all:
        input: "out/1", "out/2", "out/3"

    rule slow:
        output: "out/{i:int}"
        shell: "echo x >> began; sleep 20; echo done > {output}"
"""


def test_ctrl_c_ends_the_jobs_and_leaves_nothing_half_done(project: Project) -> None:
    process = project.write(SLOW).start("-j2")
    wait_until(lambda: (project.root / "began").exists())
    interrupt(process)
    out, _ = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "interrupted" in out
    assert not (project.root / "out").exists() or not list((project.root / "out").iterdir())
    wait_until(lambda: processes_in(project.root) == [], 5)


def test_a_second_ctrl_c_ends_everything_now(project: Project) -> None:
    project.write(SLOW.replace("sleep 20", "trap '' TERM INT; sleep 20; sleep 20"))
    process = project.start("-j1")
    wait_until(lambda: (project.root / "began").exists())
    interrupt(process)
    time.sleep(0.5)
    interrupt(process)
    began = time.monotonic()
    process.communicate(timeout=15)
    assert process.returncode == 130
    assert time.monotonic() - began < 5
    wait_until(lambda: processes_in(project.root) == [], 5)


def test_after_an_interrupt_the_next_build_just_goes_on(project: Project) -> None:
    project.write(SLOW.replace("sleep 20", "test -e go || sleep 20"))
    process = project.start("-j1")
    wait_until(lambda: (project.root / "began").exists())
    interrupt(process)
    process.communicate(timeout=15)
    (project.root / "go").touch()
    assert project.plan() == {"out/1": "build", "out/2": "build", "out/3": "build"}
    assert len(project.built()) == 3


def test_no_process_outlives_a_build_that_is_killed(project: Project) -> None:
    process = project.write(SLOW).start("-j2")
    wait_until(lambda: (project.root / "began").exists())
    process.kill()
    process.communicate(timeout=15)
    wait_until(lambda: processes_in(project.root) == [], 20)


def test_two_builds_at_once_do_the_work_once(project: Project) -> None:
    project.write(SLOW.replace("sleep 20", "sleep 0.5"))
    first = project.start("-j1")
    wait_until(lambda: (project.root / "began").exists())
    second = project.run("-j1")
    first.communicate(timeout=30)
    assert (first.returncode, second.code) == (0, 0)
    assert f"pid {first.pid}" in second.err
    assert (project.root / "began").read_text() == "x\nx\nx\n"


def test_a_full_disk_is_an_error_and_nothing_is_half_written(project: Project, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small filesystem")
    try:
        inside = Project(small).write(
            """
            rule big:
                output: "data/big"
                python: "steps.py:many"
                    per: "dataset"
            """
        )
        inside.file("steps.py", "def many(rows):\n    for i in range(40000):\n        yield {'text': f'{i} ' * 30}\n")
        result = inside.run()
        assert result.code == 1
        assert "error[disk-full]" in result.out + result.err
        assert not (small / "data/big").exists()
        inside.edit("40000", "400", "steps.py")
        inside.ok()
        assert len(inside.rows("data/big")) == 400
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_sigterm_is_as_good_as_ctrl_c(project: Project) -> None:
    process = project.write(SLOW).start("-j1")
    wait_until(lambda: (project.root / "began").exists())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=15)
    assert process.returncode == 130


def test_each_job_gets_gpus_of_its_own(project: Project) -> None:
    """Ids come from CUDA_VISIBLE_DEVICES, so that this runs where no GPU is."""
    project.write(
        """
        rule all:
            input: "out/1", "out/2", "out/both"

        rule one:
            output: "out/{i:int}"
            shell: "sleep 0.5; echo $CUDA_VISIBLE_DEVICES > {output}"
            resources:
                gpus: 1

        rule both:
            output: "out/both"
            shell: "echo $CUDA_VISIBLE_DEVICES > {output}"
            resources:
                gpus: 2
        """
    )
    project.ok("-j4", CUDA_VISIBLE_DEVICES="3,5")
    assert sorted((project.root / f"out/{i}").read_text() for i in (1, 2)) == ["3\n", "5\n"]
    assert (project.root / "out/both").read_text() == "3,5\n"


def test_pools_bound_what_runs_at_once(project: Project) -> None:
    project.write(
        """
        rule all:
            input: expand("out/{i}", i=range(6))

        rule one:
            output: "out/{i:int}"
            shell: "ls running | wc -l >> seen; touch running/{wildcards.i}; sleep 0.2; rm running/{wildcards.i}; touch {output}"
            resources:
                api: 1
        """
    )
    (project.root / "running").mkdir()
    project.ok("-j4", "--pool", "api=1")
    assert set((project.root / "seen").read_text().split()) == {"0"}


def test_a_priority_goes_first(project: Project) -> None:
    project.write(
        """
        rule all:
            input: "out/a", "out/b", "out/c"

        rule one:
            output: "out/{x}"
            shell: "echo {wildcards.x} >> order; touch {output}"
            priority: 5 if x == "c" else 0
        """
    )
    project.ok("-j1")
    assert (project.root / "order").read_text().split()[0] == "c"
