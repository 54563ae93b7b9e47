"""A judge: a model that is asked for a score of each completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dreammake.core.trainer import Training
from dreammake.trainers._examples import renderer
from dreammake.trainers._online.prompts import Prompt
from dreammake.trainers._processes import ranks

BESIDE = ("prompt", "completion")
"""What `judge_prompt` reads beside the columns."""


class JudgeReward:
    """The score that a model of the Dreamfile gives to a completion; None for an answer that is no score.

    Equal questions of one rollout are asked as often as they stand there, and an answer that is kept is asked for no
    more: so a training that goes on learns from the same scores.
    """

    name = "judge"

    def __init__(self, options: Any, columns: Sequence[str], training: Training) -> None:
        self._judge = options["judge"]
        self._scale = options["judge_scale"]
        self._question = renderer(options["judge_prompt"], (*columns, *BESIDE))
        self._training = training

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float | None]:
        questions = [self._about(prompt, text) for prompt, text in zip(prompts, completions, strict=True)]
        return [*ranks.through_first(questions, self._scores)]

    def _scores(self, questions: Sequence[str]) -> Sequence[float | None]:
        return self._training.scores(self._judge, questions, self._scale)

    def _about(self, prompt: Prompt, completion: str) -> str:
        """What is asked. Raises DreamError, with the row's number, where the text fails on it."""
        from dreammake.lang.row import RowError

        try:
            return str(self._question({**prompt.row, "prompt": prompt.text, "completion": completion}))
        except RowError as error:
            raise error.later(prompt.number) from None
