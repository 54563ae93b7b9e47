"""`train openai` against an endpoint on loopback, by the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.values import Template
from dreammake.trainers.openai import OpenAI
from tests.support.fine_tuning import FineTuningServer
from tests.support.project import Project, interrupt
from tests.support.training import PAIR_TEXTS, PAIRS, Training, rows_of

TEXT = Template("{{ x }}")
DREAMFILE = """
model tuned: "models/tuned"
    temperature: 0

rule all:
    input: "data/asked"

rule pairs:
    output: "data/pairs"
    rows: [{"q": "What is 1 and 1?", "a": "2."}, {"q": "What is 2 and 2?", "a": "4."}]

rule tune:
    input: "data/pairs"
    output: "models/tuned"
    train openai:
        base: "openai/gpt-small"
        system: "Count."
        prompt: "{{ q }}"
        completion: "{{ a }}"
        n_epochs: 3
        suffix: "counts"
        base_url: env("ENDPOINT")
        poll_every: 0.02

rule ask:
    output: "data/asked"
    rows: [{"q": "What is 3 and 3?"}]
    prompt a:
        model: tuned
        prompt: "{{ q }}"
"""


def project_in(folder: Path, server: FineTuningServer) -> Project:
    project = Project(folder).write(DREAMFILE)
    project.edit('env("ENDPOINT")', f'"{server.base_url}"')
    return project


def tuned(
    folder: Path,
    server: FineTuningServer,
    *,
    rows: list[dict[str, Any]] = PAIRS,
    base: str | Path = "gpt-small",
    **given: Any,
) -> Training:
    """A fine-tuning in this process."""
    places = [folder / "model", folder / "checkpoints"]
    for place in places:
        place.mkdir(exist_ok=True)
    training = Training(rows_of(rows), None, *places, base)
    OpenAI().run(checked(**PAIR_TEXTS, **({"base_url": server.base_url, "poll_every": 0.01} | given)), training)
    return training


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(child) for child in found.stdout.split()]


def checked(**given: Any) -> Any:
    declared = OpenAI.Options.declared()
    values = {"base": "gpt-small"} | given
    return OpenAI.Options({name: declared[name].check(value) for name, value in values.items()})


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": TEXT, "completion": TEXT},
        {"messages": TEXT},
        {"method": "dpo", "prompt": TEXT, "chosen": TEXT, "rejected": TEXT, "beta": 0.2},
    ],
)
def test_each_shape_of_data_is_enough(given: dict[str, Any]) -> None:
    OpenAI.needs(checked(**given), None)


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({}, "missing-option", "does not say what it learns from: it takes `prompt` and `completion` or `messages`"),
        ({"prompt": TEXT}, "missing-option", "has `prompt`: it takes"),
        ({"messages": TEXT, "prompt": TEXT}, "conflicting-options", "has `prompt` and `messages`"),
        ({"method": "dpo", "prompt": TEXT, "completion": TEXT}, "missing-option", "`prompt`, `chosen` and `rejected`"),
        ({"messages": TEXT, "beta": 0.1}, "conflicting-options", "`beta` is for preferences only"),
        ({"messages": TEXT, "suffix": "x" * 65}, "out-of-range", "`suffix` has 64 letters at most"),
    ],
)
def test_what_cannot_be_right_is_found_before_anything_runs(given: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(Wrong) as wrong:
        OpenAI.needs(checked(**given), None)
    assert wrong.value.code == code
    assert message in wrong.value.message


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("n_epochs", 2.5, '`n_epochs` takes "auto", or a whole number above 0, not 2.5'),
        ("batch_size", 0, '`batch_size` takes "auto", or a whole number above 0, not 0'),
        ("learning_rate_multiplier", "fast", '`learning_rate_multiplier` takes "auto", or a number above 0'),
    ],
)
def test_numbers_are_above_0_or_auto(name: str, given: Any, message: str) -> None:
    with pytest.raises(Wrong, match=message):
        checked(messages=TEXT, **{name: given})


def test_a_build_tunes_a_model_and_asks_it(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        project = project_in(tmp_path, server)
        assert project.built() == ["data/asked", "data/pairs", "models/tuned"]
        (job,) = server.jobs
        assert (job["model"], job["suffix"]) == ("gpt-small", "counts")
        hyperparameters = {"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": "auto"}
        assert job["method"] == {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
        (examples,) = server.examples
        assert examples[0]["messages"] == [
            {"role": "system", "content": "Count."},
            {"role": "user", "content": "What is 1 and 1?"},
            {"role": "assistant", "content": "2."},
        ]
        assert len(examples) == 2
        (row,) = project.rows("data/asked")
        assert row["a"] == "I am ft:gpt-small:me:counts:1"
        assert project.built() == []
        assert (len(server.uploads), len(server.jobs), server.count) == (1, 1, 1)


def test_the_folder_names_the_model_and_keeps_the_log(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        project = project_in(tmp_path, server)
        project.ok("models/tuned", OPENAI_API_KEY="sk-not-to-be-seen")
        folder = tmp_path / "models" / "tuned"
        named = json.loads((folder / "hosted_model.json").read_text())
        assert named == {"model": "ft:gpt-small:me:counts:1", "base_url": server.base_url}
        log = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
        assert [(entry["step"], entry["loss"]) for entry in log] == [(1, 2.0), (2, 1.0), (3, 2.0 / 3)]
        facts = json.loads((folder / "training.json").read_text())
        assert (facts["rows"], facts["steps"], facts["eval_loss"], facts["job"]) == (2, 3, 1.0, "ftjob-1")
        assert facts["options"]["seed"] is None
        assert (folder / "training_curves.svg").read_text().startswith("<svg")
        assert server.headers[-1]["Authorization"] == "Bearer sk-not-to-be-seen"
        written = [file for file in tmp_path.rglob("*") if file.is_file()]
        assert not [file for file in written if b"sk-not-to-be-seen" in file.read_bytes()]
        shown = project.ok("show", "models/tuned").out
        assert "ft:gpt-small:me:counts:1" in shown


def test_a_killed_build_goes_on_waiting_for_the_same_job(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        server.held = True
        project = project_in(tmp_path, server)
        process = project.start("models/tuned")
        server.wait_for_looks(2)
        for pid in [process.pid, *children_of(process.pid)]:
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        server.held = False
        project.ok("models/tuned")
        assert (len(server.uploads), len(server.jobs)) == (1, 1)
        log = "".join(file.read_text() for file in (tmp_path / ".dreammake" / "jobs").glob("*/*tuned*"))
        assert "waiting for the job ftjob-1, which an earlier build began" in log


def test_ctrl_c_leaves_the_job_running_and_says_so(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        server.held = True
        project = project_in(tmp_path, server)
        process = project.start("models/tuned")
        server.wait_for_looks(2)
        interrupt(process)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "the fine-tuning job ftjob-1 goes on" in out + err
        server.held = False
        project.ok("models/tuned")
        assert (len(server.uploads), len(server.jobs)) == (1, 1)


@pytest.mark.parametrize("path", ["/v1/files", "/v1/fine_tuning/jobs"])
def test_what_was_done_before_the_line_was_cut_is_not_done_twice(tmp_path: Path, path: str) -> None:
    def cut_after(method: str, asked: str, number: int) -> int | None:
        return 0 if (method, asked, number) == ("POST", path, 0) else None

    with FineTuningServer(refuses=cut_after) as server:
        tuned(tmp_path, server)
        assert (len(server.uploads), len(server.jobs)) == (1, 1)


def test_an_endpoint_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    def busy_at_first(method: str, path: str, number: int) -> int | None:
        return 503 if number == 0 and (method == "POST" or path.endswith("/ftjob-1")) else None

    with FineTuningServer(refuses=busy_at_first) as server:
        training = tuned(tmp_path, server)
        assert (len(server.uploads), len(server.jobs)) == (1, 1)
        assert f"{server.base_url} does not answer (not now): trying again" in training.lines


def test_a_job_that_fails_tells_why_and_the_next_build_begins_another(tmp_path: Path) -> None:
    with FineTuningServer(fails="The file has 2 examples, and 10 are needed.") as server:
        project = project_in(tmp_path, server)
        result = project.run("models/tuned")
        assert result.code == 1
        assert "error[hosted-job-failed]: the fine-tuning job ftjob-1 failed: The file has 2 examples" in result.out
        assert "Step 1/3" in result.out
        server.fails = None
        project.ok("models/tuned")
        assert (len(server.uploads), len(server.jobs)) == (1, 2)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "bad-api-key"), (402, "out-of-quota"), (400, "bad-request"), (404, "no-such-model")]
)
def test_a_refusal_is_an_error_in_words(tmp_path: Path, status: int, code: str) -> None:
    def refused(method: str, path: str, number: int) -> int | None:
        return status if (method, path) == ("POST", "/v1/fine_tuning/jobs") else None

    with FineTuningServer(refuses=refused) as server, pytest.raises(DreamError, match=rf"{code}: .*not now") as error:
        tuned(tmp_path, server)
    assert error.value.exit_code == 1


def test_an_endpoint_that_is_not_there(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        pass
    with pytest.raises(DreamError, match="endpoint-unreachable: nothing answers at"):
        tuned(tmp_path, server, patience=0.0)


def test_openai_itself_needs_a_key(tmp_path: Path) -> None:
    with FineTuningServer() as server, pytest.raises(DreamError, match="missing-api-key"):
        tuned(tmp_path, server, base_url=None)


def test_a_job_that_the_endpoint_forgot_is_begun_anew_by_the_next_build(tmp_path: Path) -> None:
    def gone(method: str, path: str, number: int) -> int | None:
        return 404 if path.endswith("/ftjob-1") else None

    with FineTuningServer(refuses=gone) as server:
        with pytest.raises(DreamError, match=r"hosted-job-lost: .* does not know the fine-tuning job ftjob-1 any more"):
            tuned(tmp_path, server)
        tuned(tmp_path, server)
        assert (len(server.uploads), len(server.jobs)) == (1, 2)


def test_no_rows_are_an_error_and_nothing_is_uploaded(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        with pytest.raises(DreamError, match="empty-dataset"):
            tuned(tmp_path, server, rows=[])
        assert not server.uploads


def test_a_row_with_an_empty_answer_goes_into_the_table_of_errors(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        training = tuned(tmp_path, server, rows=[*PAIRS[:2], {"question": "And?", "answer": " "}])
        assert [(error.row, error.code) for error in training.errors] == [(2, "empty-answer")]
        assert len(server.examples[0]) == 2


def test_a_folder_with_weights_is_no_base_for_an_endpoint(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with FineTuningServer() as server, pytest.raises(DreamError, match="not-a-hosted-model: the base model gpt-small"):
        tuned(tmp_path, server, base=tmp_path / "here")


def test_preferences_an_eval_input_and_a_model_that_was_tuned_before(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        project = project_in(tmp_path, server)
        project.edit('    input: "data/asked"', '    input: "models/aligned"')
        dreamfile = (tmp_path / "Dreamfile").read_text()
        aligned = f"""
rule better:
    output: "data/better"
    rows: [{{"q": "What is 5 and 5?", "good": "10.", "bad": "Who knows."}}]

rule align:
    input:
        train: "data/better"
        eval: "data/better"
    output: "models/aligned"
    train openai:
        base: "models/tuned"
        method: "dpo"
        prompt: "{{{{ q }}}}"
        chosen: "{{{{ good }}}}"
        rejected: "{{{{ bad }}}}"
        beta: 0.2
        seed: 5
        base_url: "{server.base_url}"
        poll_every: 0.02
"""
        project.file("Dreamfile", dreamfile + aligned)
        assert "models/tuned" in project.built()
        job = server.jobs[-1]
        assert (job["model"], job["seed"]) == ("ft:gpt-small:me:counts:1", 5)
        assert job["method"]["dpo"]["hyperparameters"]["beta"] == 0.2
        assert job["training_file"] == job["validation_file"]
        assert server.examples[-1] == [
            {
                "input": {"messages": [{"role": "user", "content": "What is 5 and 5?"}]},
                "preferred_output": [{"role": "assistant", "content": "10."}],
                "non_preferred_output": [{"role": "assistant", "content": "Who knows."}],
            }
        ]


def test_other_data_is_another_job_and_a_new_model_is_asked_anew(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        project = project_in(tmp_path, server)
        project.ok()
        project.edit('"a": "4."', '"a": "Four."')
        assert project.built() == ["data/asked", "data/pairs", "models/tuned"]
        assert (len(server.uploads), len(server.jobs), server.count) == (2, 2, 2)
        assert project.rows("data/asked")[0]["a"] == "I am ft:gpt-small:me:counts:2"


@pytest.mark.parametrize(("words", "code"), [(("--budget", "5"), "unknown-price"), (("--offline",), "offline-miss")])
def test_a_build_that_may_not_spend_or_ask_begins_no_job(tmp_path: Path, words: tuple[str, ...], code: str) -> None:
    with FineTuningServer() as server:
        result = project_in(tmp_path, server).run("models/tuned", *words)
        assert result.code in (1, 2)
        assert f"error[{code}]" in result.err
        assert not server.uploads


def test_a_hosted_job_leaves_the_cpus_to_others(tmp_path: Path) -> None:
    with FineTuningServer() as server:
        server.held = True
        project = project_in(tmp_path, server)
        project.edit('input: "data/asked"', 'input: "models/tuned", "beside"')
        dreamfile = (tmp_path / "Dreamfile").read_text()
        project.file("Dreamfile", dreamfile + '\nrule beside:\n    output: "beside"\n    shell: "touch {output}"\n')
        process = project.start("-j2")
        server.wait_for_looks(2)
        for _ in range(600):
            if (tmp_path / "beside").exists():
                break
            server.wait_for_looks(server.looks + 1)
        assert (tmp_path / "beside").exists()
        server.held = False
        assert process.wait(60) == 0
        process.communicate()
