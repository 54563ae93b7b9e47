"""Keys and values of env() are in no file of a project and in no output, whatever goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.server import LoopbackServer, Trouble

KEY = "sk-live/4f9a+c27e81d0b6"
TOKEN = "tok 77c1?e5f2&90ab"
PASSWORD = "hunter2"
ENVIRONMENT = {
    "TEACHER_KEY": KEY,
    "SERVICE_URL_PART": TOKEN,
    "DB_PASSWORD": PASSWORD,
    "OPENAI_API_KEY": "sk-of-the-environment",
}

DREAMFILE = """
    config:
        part: env("SERVICE_URL_PART")
        key: env("TEACHER_KEY")

    model teacher: "openai/test"
        base_url: "{url}"
        api_key: env("TEACHER_KEY")
        temperature: 0
        retries: 0
        extra: {{"service": env("SERVICE_URL_PART")}}

    model other: "openai/test"
        base_url: f"{url}?token={{config.part}}"
        temperature: 0

    rule answers:
        output: "data/answers"
        rows: [{{"word": "a"}}, {{"word": "b"}}]
        prompt answer:
            model: teacher
            system: f"Log in with {{env('DB_PASSWORD')}}."
            prompt: "Say {{{{ word }}}} by {{{{ config.part }}}}."

    rule leak:
        output: "data/leak"
        shell: "echo {{config.key}} {{config.part}}; echo $OPENAI_API_KEY >&2; cp rows.csv {{output}}"

    rule crash:
        output: "data/crash"
        shell: "echo {{config.key}}; sleep 1; echo {{config.part}} >&2; exit 3"

    rule python:
        output: "data/python"
        rows: [{{"word": "a"}}]
        python: "steps.py:fail"
            args: {{"key": env("TEACHER_KEY")}}
"""
STEPS = """
def fail(row, key):
    print("called with", key)
    raise ValueError(f"the key {key!r} is refused")
"""
SECRETS = (KEY, TOKEN, PASSWORD, "sk-of-the-environment", "tok%2077c1%3Fe5f2%2690ab", "sk-live%2F4f9a%2Bc27e81d0b6")


def assert_clean(project: Project, said: list[str]) -> None:
    for text in said:
        for secret in SECRETS:
            assert secret not in text
    files = [path for path in project.root.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in files)
    for path in files:
        data = path.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in data, f"{secret} is in {path.relative_to(project.root)}"


@pytest.fixture
def said() -> list[str]:
    return []


def test_no_secret_is_written(tmp_path: Path, said: list[str]) -> None:
    def trouble(body: object, number: int) -> Trouble | None:
        return Trouble(status=400, message=f"the key {KEY} or {TOKEN} is not known") if number == 0 else None

    with LoopbackServer(answer=lambda body: "fine", trouble=trouble) as server:
        project = Project(tmp_path).write(DREAMFILE.format(url=server.base_url), steps_py=STEPS)
        project.file("steps.py", STEPS)
        project.file("rows.csv", "word\na\n")

        def run(*words: str, **more: str) -> str:
            result = project.run(*words, **{**ENVIRONMENT, **more})
            said.append(result.out + result.err)
            return said[-1]

        run("-n")
        failed = run("data/answers")
        assert "env(TEACHER_KEY)" in failed, "the server's message is told, without the key"
        assert "data/answers" in run("data/answers", "--json")
        assert run("data/leak")
        assert "env(TEACHER_KEY)" in run("data/crash")
        assert "env(TEACHER_KEY)" in run("data/python")
        logs = "".join(path.read_text() for path in (tmp_path / ".dreammake/jobs").rglob("*.log"))
        assert "called with env(TEACHER_KEY)" in logs
        assert "env(OPENAI_API_KEY)" in logs
        for words in (["status"], ["log", "--json"], ["show", "data/answers"], ["list"], ["cache", "stats", "--json"]):
            run(*words)

        assert {header["Authorization"] for header in server.headers} == {f"Bearer {KEY}"}, "it is sent nonetheless"
        assert server.requests[-1]["service"] == TOKEN
        assert PASSWORD in server.requests[-1]["messages"][0]["content"]
        assert_clean(project, said)


def test_a_changed_value_is_a_change_that_shows_no_value(tmp_path: Path, said: list[str]) -> None:
    with LoopbackServer() as server:
        project = Project(tmp_path).write(DREAMFILE.format(url=server.base_url), steps_py=STEPS)
        project.file("steps.py", STEPS)

        def run(*words: str, **more: str) -> str:
            result = project.run(*words, **{**ENVIRONMENT, **more})
            assert result.code == 0, result.out + result.err
            said.append(result.out + result.err)
            return said[-1]

        run("data/answers")
        assert "up to date" in run("data/answers")
        assert "up to date" in run("data/answers", "-n", TEACHER_KEY="sk-another-one-altogether"), "keys change nothing"
        why = run("why", "data/answers", SERVICE_URL_PART="tok 0000?1111&2222")
        assert "env(SERVICE_URL_PART)#" in why
        assert "tok 0000" not in why
        run("data/answers", SERVICE_URL_PART="tok 0000?1111&2222")
        assert server.count == 4
        assert_clean(project, said)


def test_what_names_a_folder_or_a_model_is_no_secret(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = Project(tmp_path).write(
            f"""
            model teacher: env("TEACHER_NAME")
                base_url: "{server.base_url}"

            rule answers:
                output: f"data/{{env('RUN_NAME')}}"
                rows: [{{"word": "a"}}]
                prompt answer:
                    model: teacher
                    prompt: "Say {{{{ word }}}}."
            """
        )
        names = {"TEACHER_NAME": "openai/a-long-name", "RUN_NAME": "experiment-one"}
        events = project.ok("--json", **names).events
        assert "data/experiment-one" in {event.get("target") for event in events}
        assert "openai/a-long-name" in project.ok("cache", "stats", **names).out


def test_a_key_in_an_address_is_nowhere_but_in_the_dreamfile(tmp_path: Path) -> None:
    password, key = "swordfish-99", "inlinekey123"

    def trouble(body: dict[str, Any], number: int) -> Trouble | None:
        said = f"{key} may not see http://other:pass@host/?token=abc"
        return Trouble(status=400, message=said) if "two" in body["messages"][0]["content"] else None

    with LoopbackServer(trouble=trouble) as server:
        address = server.base_url.replace("http://", f"http://me:{password}@") + f"?api_key={key}"
        project = Project(tmp_path).write(
            f"""
            rule answers:
                output: "data/answers"
                rows: [{{"word": "one"}}, {{"word": "two"}}]
                prompt answer:
                    model: teacher
                    prompt: "Say {{{{ word }}}}."
                    on_error: "null"

            model teacher: "openai/test"
                base_url: "{address}"
                retries: 0
            """
        )
        for words in (["data/answers"], ["lock"], ["log", "--json"], ["trace", "data/answers", "--row", "1"]):
            result = project.ok(*words)
            assert not any(secret in result.out + result.err for secret in (password, key))
        assert len(project.rows("data/answers")) == 2
        refused = project.run("export", "x.tar.zst")
        assert "error[secret-found]: project/Dreamfile holds the value of key(teacher)" in refused.err
    assert "key(teacher) may not see http://…@host/?token=…" in (tmp_path / "data/answers/errors.jsonl").read_text()
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "Dreamfile":
            data = path.read_bytes()
            assert not any(secret.encode() in data for secret in (password, key, "other:pass", "token=abc")), path
