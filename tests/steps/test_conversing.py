"""The steps `evolve` and `converse`, which ask about what was answered before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.asking import AskingWork, ProbingWork
from support.server import Body, LoopbackServer, Trouble, prompt_of
from support.work import apply, result, written

from dreammake.core.options import Wrong
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.values import ModelSpec, Template
from dreammake.steps.converse import Converse
from dreammake.steps.evolve import WAYS, Evolve

NewWork = Callable[[], AskingWork]


@pytest.fixture
def work(tmp_path: Path) -> Iterator[NewWork]:
    """Makes the `Work` of a new run over one project."""
    made: list[AskingWork] = []

    def make() -> AskingWork:
        made.append(AskingWork(tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.asker.close()


def model(server: LoopbackServer, name: str = "writer", **options: Any) -> ModelSpec:
    return ModelSpec(name, f"some/{name}", "api", {"base_url": server.base_url, "retries": 0, **options})


ROWS = [{"task": f"Name {number} birds."} for number in range(30)]
TASK = Template("{{ task }}")


def harder(body: Body) -> str:
    """The instruction with one word more."""
    return prompt_of(body).split("Instruction:\n")[1].split("\n")[0] + " Now."


def test_an_instruction_is_rewritten_round_by_round(work: NewWork) -> None:
    with LoopbackServer(harder) as server:
        options = {"model": model(server), "instruction": TASK, "rounds": 2, "way": "ways"}
        made = apply(Evolve, options, ROWS, work(), "harder")
        assert [row["harder"] for row in made] == [f"{row['task']} Now. Now." for row in ROWS]
        assert server.count == 60
        assert {way for row in made for way in row["ways"]} == set(WAYS)
        assert all(len(row["ways"]) == 2 for row in made)
        reordered = apply(Evolve, options, ROWS[::-1], work(), "harder")
        assert (reordered[::-1], server.count) == (made, 60)
        apply(Evolve, options | {"rounds": 3}, ROWS, work(), "harder")
        assert server.count == 90


@pytest.mark.parametrize("text", ["", "The rewritten instruction: Name birds.", "Name 0 birds."])
def test_what_is_no_new_instruction_is_null_and_not_rewritten_further(work: NewWork, text: str) -> None:
    answer = lambda body: text if "Name 0 " in prompt_of(body) else harder(body)  # noqa: E731
    with LoopbackServer(answer) as server:
        doing = work()
        options = {"model": model(server), "instruction": TASK, "rounds": 2, "attempts": 1, "ways": ["constraint"]}
        made = apply(Evolve, options, ROWS[:2], doing, "harder")
    assert [row["harder"] for row in made] == [None, "Name 1 birds. Now. Now."]
    assert [(error.row, error.code, error.answer) for error in doing.errors] == [(0, "unclear-answer", text)]
    assert server.count == 3


def test_ways_are_known_before_anything_is_asked(tmp_path: Path) -> None:
    for ways, words in ((["depht"], "did you mean `depth`?"), ([], "known: constraint")):
        options = {"model": ModelSpec("m", "x"), "instruction": TASK, "ways": ways}
        with pytest.raises(Wrong) as raised:
            result(Evolve, options, ROWS, ProbingWork(tmp_path), "harder")
        assert words in raised.value.hint


def talk(body: Body) -> str:
    said = prompt_of(body)
    if said.startswith("Below is a conversation"):
        return f"why {said.count('Assistant:')}?"
    return f"answer to {said}"


TALK = {"prompt": TASK, "system": Template("Be brief."), "persona": Template("A child of {{ age }}.")}


def test_two_models_talk_in_turn(work: NewWork) -> None:
    with LoopbackServer(talk) as server, LoopbackServer(talk) as other:
        options = {"model": model(server), "user": model(other, "child"), "turns": 2, **TALK}
        rows = [{"task": "Name a bird.", "age": 7}]
        [row] = apply(Converse, options, rows, work(), "messages")
        conversation = [
            {"role": "user", "content": "Name a bird."},
            {"role": "assistant", "content": "answer to Name a bird."},
            {"role": "user", "content": "why 1?"},
            {"role": "assistant", "content": "answer to why 1?"},
        ]
        assert row == {**rows[0], "messages": conversation}
        assert server.requests[1]["messages"] == [{"role": "system", "content": "Be brief."}, *conversation[:3]]
        assert prompt_of(other.requests[0]) == (
            "Below is a conversation between a user and an assistant.\n\nA child of 7.\n\nUser: Name a bird.\n\n"
            "Assistant: answer to Name a bird.\n\nWrite the next message of the user, and nothing else."
        )
        [longer] = apply(Converse, options | {"turns": 3}, rows, work(), "messages")
        assert longer["messages"][:4] == conversation
        assert (len(longer["messages"]), server.count, other.count) == (6, 3, 2)


def test_a_conversation_that_breaks_off_is_none(work: NewWork) -> None:
    trouble = lambda body, number: Trouble(400) if "why" in prompt_of(body) and "bird" in str(body) else None  # noqa: E731
    with LoopbackServer(talk, trouble=trouble) as server:
        doing = work()
        rows = [{"task": "a", "age": 1}, {"task": "bird", "age": 2}]
        options = {"model": model(server), "on_error": "null", "turns": 3, "prompt": TASK}
        made = apply(Converse, options, rows, doing, "talk")
        assert [row["talk"] and len(row["talk"]) for row in made] == [6, None]
        assert [error.row for error in doing.errors] == [1]
        skipped = apply(Converse, options | {"on_error": "skip"}, rows, doing, "talk")
        assert [row["task"] for row in skipped] == ["a"]


def test_a_dry_run_counts_what_all_rounds_ask(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        for step, options, count in (
            (Evolve, {"instruction": TASK, "rounds": 3}, 90),
            (Converse, {"prompt": TASK, "turns": 2}, 90),
        ):
            dry = ProbingWork(tmp_path)
            made = result(step, {"model": model(server), **options}, ROWS, dry, "made")
            assert isinstance(made, Rows)
            list(made.batches())
            assert sum(probe.to_run for probe in dry.prober.probes) == count
            assert step.asks(step.Options({"model": model(server), **options})) * 30 == count
        assert server.count == 0


def test_no_rows_give_no_rows_with_the_same_columns(work: NewWork) -> None:
    with LoopbackServer() as server:
        for step, options in ((Evolve, {"instruction": TASK, "rounds": 2}), (Converse, {"prompt": TASK})):
            doing = work()
            made = result(step, {"model": model(server), **options}, from_dicts(("task",), []), doing, "made")
            assert isinstance(made, Rows)
            assert (made.columns, written(made, doing)) == (("task", "made"), [])
        assert server.count == 0
