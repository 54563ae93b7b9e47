"""`dreammake try`: the chain on a few rows, whose answers the full build does not ask again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.server import LoopbackServer
from tests.support.small_model import small_model

ROWS = 20
DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"
        temperature: 0

    rule answers:
        output: "data/answers"
        load: "rows.csv"
        prompt answer:
            model: teacher
            prompt: "Say {{{{ word }}}}."

    rule ideas:
        output: "data/ideas"
        generate idea:
            model: teacher(temperature=1)
            prompt: "An idea?"
            count: 10

    rule halves:
        input: "data/answers"
        output:
            train: "data/half/train"
            eval: "data/half/eval"
        split:
            train: 0.5
            eval: 0.5

    rule counted:
        input: "data/half/train"
        output: "out/count.txt"
        shell: "ls {{input}} | wc -l > {{output}}"
"""


def project_in(folder: Path, server: LoopbackServer) -> Project:
    project = Project(folder).write(DREAMFILE.format(url=server.base_url))
    project.file("rows.csv", "word\n" + "".join(f"word{number}\n" for number in range(ROWS)))
    return project


def test_a_few_rows_run_through_the_chain_and_are_not_asked_again(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        said = project.ok("try", "out/count.txt", "data/ideas", "--rows", "4").out
        assert "tried on 4 rows, in .dreammake/try/4" in said
        assert sorted(server.prompts) == ["An idea?"] * 4 + [f"Say word{number}." for number in range(4)]
        tried = tmp_path / ".dreammake/try/4"
        assert (tried / "out/count.txt").exists()
        assert [row["word"] for row in project.rows(".dreammake/try/4/data/answers")] == [f"word{n}" for n in range(4)]
        assert not (tmp_path / "data").exists(), "the project's own targets are not touched"
        project.ok("out/count.txt", "data/ideas")
        assert server.count == ROWS + 10
        assert [row["word"] for row in project.rows("data/answers")] == [f"word{n}" for n in range(ROWS)]


def test_a_second_try_does_what_changed(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.ok("try", "data/answers", "--rows", "4")
        assert "up to date" in project.ok("try", "data/answers", "--rows", "4").out
        project.file("rows.csv", "word\nother\nword1\n")
        project.ok("try", "data/answers", "--rows", "4")
        assert server.prompts[4:] == ["Say other."]
        (tmp_path / "rows.csv").unlink()
        assert "no-such-file" in project.run("try", "data/answers").err
        assert "error[bad-arguments]" in project.run("try", "data/answers", "--rows", "0").err


def test_a_dataset_that_no_rule_makes_is_cut_too(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.ok("data/answers")
        (tmp_path / "data/answers").rename(tmp_path / "given")
        project.write(
            """
            rule more:
                input: "given"
                output: "data/more"
                map n: len(word)
            """
        )
        project.ok("try", "more", "--rows", "2")
        assert len(project.rows(".dreammake/try/2/data/more")) == 2


@pytest.mark.slow
def test_a_training_takes_two_steps(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        f"""
        rule pairs:
            output: "data/pairs"
            rows: [{{"q": f"{{n}}?", "a": str(n)}} for n in range(50)]

        rule student:
            input: "data/pairs"
            output: "models/student"
            train sft:
                base: "{small_model()}"
                prompt: "{{{{ q }}}}"
                completion: "{{{{ a }}}}"
                num_train_epochs: 3
        """
    )
    project.ok("try", "student", "--rows", "6")
    facts = json.loads((tmp_path / ".dreammake/try/6/models/student/training.json").read_text())
    assert (facts["rows"], facts["steps"]) == (6, 2)
