"""Scores: asked of a real server, read or not, and what others are told of the judge."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.judgement import scores, told
from dreammake.core.secrets import Secrets
from dreammake.core.values import ModelSpec
from tests.support.asking import AskingWork
from tests.support.server import Body, LoopbackServer, Trouble, prompt_of


def critic(server: LoopbackServer, **options: Any) -> ModelSpec:
    return ModelSpec("critic", "some/critic", "api", {"base_url": server.base_url, "retries": 0, **options})


def scored(
    project: Path, judge: ModelSpec, questions: list[str], scale: list[float] | None = None
) -> tuple[list[float | None], list[str]]:
    """The scores, and what was said."""
    work = AskingWork(project)
    with closing(work.asker):
        return scores(work, judge, questions, scale), work.log


def last_word(body: Body) -> str:
    """The answer that the question names in its first line."""
    return prompt_of(body).splitlines()[0].partition(": ")[2]


def test_each_question_has_its_score_in_order(tmp_path: Path) -> None:
    with LoopbackServer(last_word) as server:
        found, said = scored(tmp_path, critic(server), ["a: 7", "b: Score: 3", "c: 9/10", "d: 4.5."], [1, 10])
        assert found == [7, 3, 9, 4.5]
        assert not said
        question = "a: 7\n\nAnswer with one number from 1 to 10, and with nothing else."
        assert question in server.prompts
        assert scored(tmp_path, critic(server), ["d: 4.5.", "a: 7"], [1, 10]) == ([4.5, 7], [])
        assert server.count == 4


@pytest.mark.parametrize("answer", ["7 or 8", "It is a 3, or so I think.", "11", "I cannot rate that.", "-"])
def test_what_is_not_clearly_a_score_is_asked_for_thrice_and_then_none(tmp_path: Path, answer: str) -> None:
    with LoopbackServer(last_word) as server:
        judge = critic(server)
        found, said = scored(tmp_path, judge, [f"a: {answer}", "b: 2"], [1, 10])
        assert found == [None, 2]
        assert said == [
            "1 of 2 answers of the judge are no score; the first: the answer is not one number from 1 to 10: " + answer
        ]
        assert server.count == 4
        assert scored(tmp_path, judge, [f"a: {answer}"], [1, 10])[0] == [None]
        assert server.count == 4, "a later training asks for it no more"


def test_without_a_scale_any_number_is_a_score(tmp_path: Path) -> None:
    with LoopbackServer(last_word) as server:
        assert scored(tmp_path, critic(server), ["a: -250", "b: 8/10"])[0] == [-250, None]


def test_a_judge_that_fails_is_no_bad_score(tmp_path: Path) -> None:
    trouble = Trouble(500, message="not today")
    with LoopbackServer(last_word, trouble=lambda body, number: trouble if "a:" in prompt_of(body) else None) as server:
        with pytest.raises(DreamError) as error:
            scored(tmp_path, critic(server), ["a: 7", "b: 2"], [1, 10])
        (found,) = error.value.diagnostics
        assert (found.code, error.value.exit_code) == ("not-judged", 1)
        assert found.message.startswith('the judge "some/critic" gave no score: the server failed')
        server.trouble = lambda body, number: None
        assert scored(tmp_path, critic(server), ["a: 7", "b: 2"], [1, 10])[0] == [7, 2]
        assert sum(prompt.startswith("b:") for prompt in server.prompts) == 1, "what was answered is kept"


def test_a_completion_that_is_too_long_for_the_judge_has_no_score(tmp_path: Path) -> None:
    trouble = Trouble(400, message="maximum context length is 10 tokens", code="context_length_exceeded")
    with LoopbackServer(last_word, trouble=lambda body, number: trouble if "a:" in prompt_of(body) else None) as server:
        assert scored(tmp_path, critic(server), ["a: 7", "b: 2"], [1, 10])[0] == [None, 2]


def test_others_are_told_what_shapes_an_answer_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"api_key": "sk-secret-1234", "concurrency": 4, "temperature": 0.2, "system": "Say sk-secret-1234."}
    secrets = Secrets()
    secrets.add("sk-secret-1234", "key(critic)", "api_key")
    monkeypatch.setattr("dreammake.core.judgement.SECRETS", secrets)
    found = told(ModelSpec("critic", "some/critic", "api", options))
    assert set(found.options) == {"temperature", "system"}
    assert "sk-secret" not in str(found)
    assert told(found) == found
    assert told([1, 2]) == [1, 2]
