"""`train grpo`, `rloo` and `ppo` with a judge, through the command line: a real server that counts is asked."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.server import Body, LoopbackServer, Trouble, prompt_of
from tests.support.small_model import small_model

DREAMFILE = """
model critic: "openai/test"
    base_url: "{url}"
    api_key: "sk-of-the-judge"
    price: 0.1

rule all:
    input: "models/liked"

rule questions:
    output: "data/questions"
    rows: [{{"animal": "cat"}}, {{"animal": "owl"}}, {{"animal": "dog"}}, {{"animal": "elk"}}]

rule liked:
    input: "data/questions"
    output: "models/liked"
    train {method}:
        base: "models/small"
        prompt: "Tell me about the {{{{ animal }}}}."
        judge: critic
        judge_prompt: "How well does this tell of the {{{{ animal }}}}?\\n\\n{{{{ completion }}}}"
        per_device_train_batch_size: 4
        max_completion_length: 6
        peft: lora(r=4)
        learning_rate: 0.001
        logging_steps: 1
        max_steps: 2
"""
OWN = {"grpo": "num_generations: 2", "rloo": "num_generations: 2", "ppo": "num_ppo_epochs: 1"}
COMPLETIONS = 8
"""Two rollouts of four."""


def liking(body: Body) -> str:
    """More for more different letters."""
    completion = prompt_of(body).split("\n\n")[1]
    return f"Score: {min(len(set(completion)), 20) / 2}"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(liking) as made:
        yield made


def project_in(folder: Path, server: LoopbackServer, method: str = "grpo") -> Project:
    project = Project(folder).write(DREAMFILE.format(url=server.base_url, method=method))
    project.edit("        peft:", f"        {OWN[method]}\n        peft:")
    (folder / "models").mkdir()
    (folder / "models/small").symlink_to(small_model())
    return project


def log_of(project: Project) -> list[dict[str, Any]]:
    lines = (project.root / "models/liked/training_log.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if "reward" in entry]


def test_a_dry_run_counts_the_completions(tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server)
    assert "at most 8 prompts: 0 cached, 8 to run" in project.ok("--dry-run").out
    project.edit("max_steps: 2", "num_train_epochs: 2")
    assert "at most 16 prompts: 0 cached, 16 to run" in project.ok("--dry-run").out
    assert server.count == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\n\\n{{ completion }}", "\\n\\n{{ compeltion }}", "the judge_prompt reads `compeltion`"),
        ('"Tell me about the {{ animal }}."', '"{{ completion }}"', "the prompt reads `completion`"),
        ("judge: critic", "judge: critik", "there is no `critik`"),
        ("judge: critic\n", "judge: None\n", "`train grpo` has no reward to learn from"),
        ("judge: critic\n", "judge: None\n        reward: 'a.py:f'\n", "and there is none"),
    ],
)
def test_what_is_wrong_is_found_in_the_dry_run(
    tmp_path: Path, server: LoopbackServer, old: str, new: str, message: str
) -> None:
    project = project_in(tmp_path, server).write(DREAMFILE.format(url=server.base_url, method="grpo"))
    project.file("a.py", "def f(completion): return 1\n")
    if "has no reward" in message:
        project.edit('        judge_prompt: "How well does this tell of the {{ animal }}?\\n\\n{{ completion }}"\n', "")
    project.edit(old, new)
    result = project.run("--dry-run")
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("How well", "How nicely", "train grpo.judge_prompt"),
        ("judge: critic\n", "judge: critic\n        judge_scale: [0, 1]\n", "train grpo.judge_scale"),
        ("judge: critic\n", "judge: critic(temperature=0.5)\n", "train grpo.judge.temperature"),
        ('"openai/test"', '"openai/other"', "train grpo.judge"),
        ("price: 0.1", "price: 0.2\n    concurrency: 3", None),
    ],
)
def test_the_judge_is_in_the_recipe(
    tmp_path: Path, server: LoopbackServer, old: str, new: str, where: str | None
) -> None:
    project = project_in(tmp_path, server)
    project.ok("lock")
    project.edit(old, new)
    result = project.run("verify")
    assert result.code == (0 if where is None else 1)
    assert where is None or where in result.out


def test_a_budget_needs_the_price_of_the_judge(tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server)
    project.edit("    price: 0.1\n", "")
    result = project.run("--budget", "1")
    assert result.code == 2
    assert "error[unknown-price]" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "rloo", "ppo"])
def test_scores_are_rewards_and_are_asked_for_once(method: str, tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server, method)
    project.ok()
    assert server.count == COMPLETIONS, "as the dry run says"
    assert all(entry["reward"] == pytest.approx(entry["rewards/judge/mean"]) for entry in log_of(project))
    scores = [float(liking(body).removeprefix("Score: ")) for body in server.requests]
    assert sum(entry["reward"] for entry in log_of(project)) * 4 == pytest.approx(sum(scores), rel=1e-4)
    told = (project.root / "models/liked/training.json").read_text()
    assert '"model": "openai/test"' in told
    assert "sk-of-the-judge" not in told

    asked = set(server.prompts)
    project.edit("learning_rate: 0.001", "learning_rate: 0.1")
    project.ok()
    new = server.prompts[COMPLETIONS:]
    assert 0 < len(new) <= COMPLETIONS / 2, "the first completions are those of the untrained model, and known"
    assert not asked & set(new)

    project.ok("clean")
    project.ok("--offline")
    assert len(server.prompts) == COMPLETIONS + len(new)


@pytest.mark.slow
def test_what_is_not_in_the_cache_fails_offline(tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server)
    result = project.run("--offline")
    assert result.code == 1
    assert "error[offline-miss]: `train grpo`: a completion has no answer in the cache" in result.out + result.err
    assert server.count == 0


@pytest.mark.slow
def test_an_answer_that_is_no_score_is_no_reward(tmp_path: Path) -> None:
    """It is asked for three times, and the other rewards are as they are."""

    def answer(body: Body) -> str:
        return "3 or 4" if "the owl" in prompt_of(body) else "6"

    with LoopbackServer(answer) as server:
        project = project_in(tmp_path, server)
        project.edit(
            "judge: critic", 'judge: critic\n        reward: "rewards.py:one"\n        reward_weights: [1, 0.5]'
        )
        project.file("rewards.py", "def one(completion): return 1\n")
        project.ok()
        asked = server.count
        assert asked > COMPLETIONS
        assert asked - COMPLETIONS == 2 * sum("the owl" in prompt for prompt in server.prompts) / 3
        rewards = [(entry["rewards/judge/mean"], entry["reward"]) for entry in log_of(project)]
        assert (6, 2.5) in rewards, "a half of the completions has a score of 6, and the other half none"
        assert project.built() == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "ppo"])
def test_two_processes_ask_as_one(method: str, tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server, method)
    project.edit("per_device_train_batch_size: 4", "per_device_train_batch_size: 2")
    project.ok(DREAMMAKE_CPU_RANKS="2")
    assert server.count == COMPLETIONS
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-of-the-judge"}
    scores = [float(liking(body).removeprefix("Score: ")) for body in server.requests]
    assert sum(entry["reward"] for entry in log_of(project)) * 4 == pytest.approx(sum(scores), rel=1e-4)
    assert "sk-of-the-judge" not in (project.root / "models/liked/training.json").read_text()


@pytest.mark.slow
def test_a_judge_that_fails_ends_the_training_in_words(tmp_path: Path) -> None:
    with LoopbackServer(liking, trouble=lambda body, number: Trouble(400, message="not this one")) as server:
        project = project_in(tmp_path, server)
        result = project.run(DREAMMAKE_CPU_RANKS="2")
    assert result.code == 1
    assert 'error[not-judged]: the judge "openai/test" gave no score' in result.out + result.err
    assert "Traceback" not in result.out + result.err


@pytest.mark.slow
def test_a_build_that_is_killed_while_the_judge_thinks_leaves_no_process(tmp_path: Path) -> None:
    with LoopbackServer(liking, hold_from=0) as server:
        project = project_in(tmp_path, server)
        build = project.start(DREAMMAKE_CPU_RANKS="2")
        server.wait_for(4)
        ranks = _ranks_in(project.root)
        assert len(ranks) == 2
        os.killpg(build.pid, signal.SIGKILL)
        build.communicate()
        for rank in ranks:
            _wait_until_gone(rank)


def _ranks_in(root: Path) -> list[int]:
    """The processes of trainings whose orders lie in a project."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if any(word.endswith("_processes.rank") for word in words) and any(str(root) in word for word in words):
            found.append(int(process.name))
    return found


def _wait_until_gone(process: int) -> None:
    import time

    until = time.monotonic() + 20
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
