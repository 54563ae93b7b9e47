"""The steps `rank`, `judge` and `filter` by a model, with judges behind a real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.asking import AskingWork, ProbingWork
from support.server import Body, LoopbackServer, Trouble, prompt_of
from support.work import apply, result, written

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Reader, Request
from dreammake.core.options import Wrong
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.step import Step
from dreammake.core.values import ModelSpec, Template
from dreammake.steps.filter import Filter
from dreammake.steps.judge import Judge
from dreammake.steps.rank import Rank

NewWork = Callable[[], AskingWork]
ODD = ["4.5.", "Hmm... 3", "Both", "", "I'm sorry, I cannot rate that.", "10/10", "Score: 7 or 8"]


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


def critic(server: LoopbackServer, name: str = "critic", **options: Any) -> ModelSpec:
    return ModelSpec(name, f"some/{name}", "api", {"base_url": server.base_url, "retries": 0, **options})


def says(answers: list[str]) -> Callable[[Body], str]:
    """The answer by the number that ends the first line of the prompt."""
    return lambda body: answers[int(prompt_of(body).splitlines()[0].rsplit(" ", 1)[1])]


RATE = Template("How good is number {{ n }}")
NUMBERS = [{"n": number} for number in range(len(ODD))]


def test_odd_scores_are_read_or_null_and_come_last(work: NewWork) -> None:
    with LoopbackServer(says(ODD)) as server:
        doing = work()
        made = apply(Rank, {"model": critic(server), "prompt": RATE}, NUMBERS, doing, "score")
    assert [(row["n"], row["score"]) for row in made] == [
        (5, 10.0),
        (0, 4.5),
        (1, 3.0),
        (2, None),
        (3, None),
        (4, None),
        (6, None),
    ]
    assert [(error.row, error.step, error.code, error.again) for error in doing.errors] == [
        (number, "rank score", "unclear-answer", False) for number in (2, 3, 4, 6)
    ]
    assert doing.errors[0].message == "the answer is not one number from 1 to 10"
    assert doing.errors[0].answer == "Both"


def test_an_answer_that_cannot_be_read_is_asked_for_so_often_and_never_again(work: NewWork, tmp_path: Path) -> None:
    with LoopbackServer(says(ODD)) as server:
        options = {"model": critic(server), "prompt": RATE}
        first = apply(Rank, options, NUMBERS, work(), "score")
        assert server.count == 3 + 4 * 3
        dry = ProbingWork(tmp_path)
        assert isinstance(made := result(Rank, options, NUMBERS, dry, "score"), Rows)
        assert written(made, dry) == first, "a dry run reads what is kept"
        assert dry.prober.probes[0].to_run == 0
        assert apply(Rank, options, NUMBERS, work(), "score") == first
        assert server.count == 15
        apply(Rank, options | {"attempts": 4}, NUMBERS, work(), "score")
        assert server.count == 19, "each of the four is asked once more"
        apply(Rank, options | {"attempts": 1}, NUMBERS, work(), "score")
        assert server.count == 19


def test_without_a_scale_any_number_is_a_score(work: NewWork) -> None:
    with LoopbackServer(lambda body: "7") as server:
        options = {"model": critic(server), "prompt": RATE, "scale": None}
        assert [row["s"] for row in apply(Rank, options, NUMBERS[:2], work(), "s")] == [7, 7]
        made = apply(Rank, options | {"threshold": 8.0, "sort": False}, NUMBERS[:2], work(), "s")
        assert (made, server.count) == ([], 2)


def test_another_reader_reads_the_kept_answers_and_asks_nothing(work: NewWork) -> None:
    with LoopbackServer(lambda body: "four") as server:
        request = Request(({"role": "user", "content": "Rate it."},))
        strict = Reader(lambda text: False, attempts=3, settles=True)
        assert [answer.text for answer in work().ask(critic(server), [request], strict)] == ["four"]
        assert server.count == 3
        lenient = Reader(lambda text: text == "four", attempts=3, settles=True)
        [answer] = work().ask(critic(server), [request], lenient)
        assert (answer.text, answer.cached, server.count) == ("four", True, 3)


def test_an_attempt_that_can_be_read_ends_the_asking(work: NewWork) -> None:
    heard: list[str] = []

    def answer(body: Body) -> str:
        heard.append(prompt_of(body))
        return "perhaps" if len(heard) < 3 else "6"

    with LoopbackServer(answer) as server:
        made = apply(Rank, {"model": critic(server), "prompt": RATE}, NUMBERS[:1], work(), "s")
    assert ([row["s"] for row in made], len(heard)) == ([6.0], 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [3, 1, 4, 0, 2, 5]),
        ({"reverse": False}, [0, 2, 1, 4, 3, 5]),
        ({"sort": False}, [0, 1, 2, 3, 4, 5]),
        ({"threshold": 3.0}, [3, 1, 4]),
        ({"threshold": 3.0, "sort": False}, [1, 3, 4]),
        ({"on_error": "skip"}, [3, 1, 4, 0, 2]),
    ],
)
def test_rows_are_sorted_and_kept_by_their_score(work: NewWork, options: dict[str, Any], expected: list[int]) -> None:
    with LoopbackServer(says(["2", "3", "2", "9", "3", "?"])) as server:
        made = apply(
            Rank, {"model": critic(server), "prompt": RATE, "attempts": 1, **options}, NUMBERS[:6], work(), "s"
        )
    assert [row["n"] for row in made] == expected


def test_no_threshold_keeps_a_row_that_could_not_be_asked_about(work: NewWork) -> None:
    with LoopbackServer(lambda body: "9") as server:
        doing = work()
        prompt = Template("How good is {{ n.strip() }}")
        made = apply(Rank, {"model": critic(server), "prompt": prompt, "threshold": 1.0}, [{"n": None}], doing, "s")
        assert (made, [error.code for error in doing.errors]) == ([], ["row-error"])


def test_reasons_come_first_and_stay_in_a_column(work: NewWork) -> None:
    with LoopbackServer(lambda body: "It has 2 faults.\nScore: 6") as server:
        options = {"model": critic(server), "prompt": RATE, "explanation": "why", "system": Template("Be {{ n }}.")}
        made = apply(Rank, options, NUMBERS[:1], work(), "s")
        assert made == [{"n": 0, "s": 6.0, "why": "It has 2 faults.\nScore: 6"}]
        asked = "First give your reasons in a few sentences. Then end with one line: "
        asked += "`Score: ` and one number from 1 to 10."
        assert server.requests[0]["messages"] == [
            {"role": "system", "content": "Be 0."},
            {"role": "user", "content": f"How good is number 0\n\n{asked}"},
        ]


def test_a_structured_judgement_is_a_field_of_an_object(work: NewWork) -> None:
    with LoopbackServer(lambda body: '{"reasons": "Score: 3 of 5 words are wrong.", "score": 6.5}') as server:
        options = {"model": critic(server), "prompt": RATE, "explanation": "why", "structured": True}
        [row] = apply(Rank, options, NUMBERS[:1], work(), "s")
        assert (row["s"], row["why"][:10]) == (6.5, '{"reasons"')
        asked = server.requests[0]
        assert asked["response_format"]["json_schema"]["schema"]["properties"] == {
            "reasons": {"type": "string"},
            "score": {"type": "number", "minimum": 1, "maximum": 10},
        }
        assert prompt_of(asked).endswith("Give your reasons in a few sentences, and then one number from 1 to 10.")


@pytest.mark.parametrize(("text", "winner"), [('{"verdict": "Tie"}', "tie"), ('{"verdict": "A or B"}', None)])
def test_a_structured_verdict_is_read_as_strictly(work: NewWork, text: str, winner: str | None) -> None:
    with LoopbackServer(lambda body: text) as server:
        options = {"model": critic(server), "responses": PAIR, "ties": True, "structured": True}
        [row] = apply(Judge, options, PAIRS[:1], work(), "winner")
        assert row["winner"] == winner
        schema = server.requests[0]["response_format"]["json_schema"]["schema"]
        assert schema["properties"] == {"verdict": {"type": "string", "enum": ["A", "B", "Tie"]}}


def test_structured_yes_or_no(work: NewWork) -> None:
    with LoopbackServer(lambda body: '{"answer": "no"}') as server:
        assert apply(Filter, {"model": critic(server), "prompt": RATE, "structured": True}, NUMBERS, work()) == []


SHOWN = re.compile(r"Response ([A-Z]):\n(.*)")


def likes(*words: str) -> Callable[[Body], str]:
    """A judge that chooses the response that has the first of the words that any has, wherever it stands."""

    def answer(body: Body) -> str:
        shown = SHOWN.findall(prompt_of(body))
        return next((f"**{letter}**" for word in words for letter, text in shown if word in text), "I cannot tell.")

    return answer


PAIRS = [{"q": f"q{n}", "a": f"good {n}" if n % 3 else f"bad {n}", "b": f"fair {n}"} for n in range(40)]
PAIR = {"A": Template("{{ a }}"), "B": Template("{{ b }}")}


def test_a_verdict_is_put_back_to_its_name(work: NewWork) -> None:
    with LoopbackServer(likes("good", "fair")) as server:
        options = {"model": critic(server), "responses": PAIR, "prompt": Template("{{ q }}"), "order": "shown"}
        made = apply(Judge, options, PAIRS, work(), "winner")
        assert [row["winner"] for row in made] == ["A" if n % 3 else "B" for n in range(40)]
        orders = [row["shown"] for row in made]
        assert {tuple(order) for order in orders} == {("A", "B"), ("B", "A")}
        assert all(8 < sum(order == one for order in orders) < 32 for one in (["A", "B"], ["B", "A"]))
        shown_first = {body.split("Response A:\n")[1].splitlines()[0] for body in server.prompts}
        assert shown_first == {row["a" if row["shown"][0] == "A" else "b"] for row in made}


def test_the_order_depends_on_the_row_and_the_seed_alone(work: NewWork) -> None:
    with LoopbackServer(likes("good", "fair")) as server:
        options = {"model": critic(server, seed=1), "responses": PAIR, "order": "shown"}
        first = {row["q"]: row for row in apply(Judge, options, PAIRS, work(), "winner")}
        moved = apply(Judge, options, [PAIRS[39], {"q": "new", "a": "good", "b": "x"}, *PAIRS[:39]], work(), "winner")
        assert all(row == first[row["q"]] for row in moved if row["q"] != "new")
        assert server.count == 41
        other = apply(Judge, options | {"seed": 2}, PAIRS, work(), "winner")
        assert [row["shown"] for row in other] != [first[row["q"]]["shown"] for row in other]
        assert [row["winner"] for row in other] == [first[row["q"]]["winner"] for row in other]


@pytest.mark.parametrize("text", ["Both", "", "I'm sorry, I cannot compare them.", "A or B", "C", "4.5."])
def test_what_is_no_verdict_is_null_and_never_a_guess(work: NewWork, text: str) -> None:
    with LoopbackServer(lambda body: text) as server:
        doing = work()
        options = {"model": critic(server), "responses": PAIR, "explanation": "why"}
        made = apply(Judge, options, PAIRS[:2], doing, "winner")
    assert [(row["winner"], row["why"]) for row in made] == [(None, None)] * 2
    assert [(error.code, error.answer, error.message) for error in doing.errors] == [
        ("unclear-answer", text, "the answer is not A or B")
    ] * 2


def test_a_list_of_responses_with_ties_and_words_of_ones_own(work: NewWork) -> None:
    responses = {"small": Template("{{ a }}"), "large": Template("{{ b }}"), "gold": Template("gold {{ n }}")}
    rows = [{"n": n, "a": "x", "b": "y"} for n in range(12)]
    tie = lambda body: "Tie." if "gold 3" in prompt_of(body) else likes("gold")(body)  # noqa: E731
    with LoopbackServer(tie) as server:
        options = {
            "model": critic(server),
            "responses": responses,
            "ties": True,
            "instruction": Template("Whose is number {{ n }}?"),
            "rubric": Template("Gold counts."),
        }
        made = apply(Judge, options, rows, work(), "who")
        assert [row["who"] for row in made] == ["tie" if n == 3 else "gold" for n in range(12)]
        end = 'Answer with one letter from A to C, or "Tie" where none is better, and with nothing else.'
        first = next(text for text in server.prompts if "number 0" in text)
        assert first.startswith("Whose is number 0?\n\nGold counts.\n\nResponse A:\n")
        assert first.endswith(f"\n\n{end}")


def test_more_than_half_of_several_judges_decide(work: NewWork) -> None:
    rows = [{"a": "red sun", "b": "blue sea"}, {"a": "red fire", "b": "moon"}, {"a": "sand", "b": "moon"}]
    with (
        LoopbackServer(likes("red")) as one,
        LoopbackServer(likes("blue", "red")) as two,
        LoopbackServer(likes("sun", "moon")) as three,
    ):
        judges = [critic(one, "one"), critic(two, "two"), critic(three, "three")]
        doing = work()
        options = {"model": judges, "responses": PAIR, "explanation": "why", "attempts": 1}
        made = apply(Judge, options, rows, doing, "winner")
        assert [row["winner"] for row in made] == ["A", "A", None]
        assert len(made[0]["why"]) == 3
        assert [(error.row, error.code) for error in doing.errors] == [(2, "unclear-answer")]
        assert [server.count for server in (one, two, three)] == [3, 3, 3]
        doing = work()
        made = apply(Judge, options | {"model": judges[1:]}, rows[:2], doing, "winner")
        assert [row["winner"] for row in made] == [None, None]
        assert [error.code for error in doing.errors] == ["no-majority", "no-majority"]
        assert two.count + three.count == 6, "a judge less asks nothing again"


def test_a_judge_that_fails_is_asked_again_where_it_matters(work: NewWork) -> None:
    with LoopbackServer(likes("good", "fair"), trouble=lambda body, number: Trouble(400)) as server:
        doing = work()
        options = {"model": critic(server), "responses": PAIR}
        made = apply(Judge, options, PAIRS[:3], doing, "winner")
        assert [row["winner"] for row in made] == [None] * 3
        assert [(error.code, error.again) for error in doing.errors] == [("bad-request", True)] * 3
        server.trouble = lambda body, number: None
        assert [row["winner"] for row in apply(Judge, options, PAIRS[:3], work(), "winner")] == ["B", "A", "A"]
        with pytest.raises(DreamError) as raised:
            server.trouble = lambda body, number: Trouble(400)
            apply(Judge, options | {"on_error": "fail"}, PAIRS[:4], work(), "winner")
        assert raised.value.diagnostics[0].code == "prompts-failed"


def test_a_response_that_is_null_is_not_compared(work: NewWork) -> None:
    rows = [{"a": None, "b": "good"}, {"a": "good 🙂" * 3000, "b": ""}, {"a": 3.5, "b": "good"}]
    with LoopbackServer(likes("good")) as server:
        doing = work()
        texts = [{**row, "a": str(row["a"]) if row["a"] == 3.5 else row["a"]} for row in rows]
        made = apply(Judge, {"model": critic(server), "responses": PAIR}, texts, doing, "winner")
    assert [row["winner"] for row in made] == [None, "A", "B"]
    [error] = doing.errors
    assert (error.row, error.code, error.again) == (0, "row-error", False)
    assert "the response `A` is null" in error.message


YES_NO = ["Yes.", "no", "**Yes**", "No, because yes...", "Well, yes", "There is no yes here", ""]


@pytest.mark.parametrize(("on_error", "expected"), [("skip", [0, 2, 4]), ("keep", [0, 2, 4, 5, 6])])
def test_rows_are_kept_by_yes_and_by_nothing_else(work: NewWork, on_error: str, expected: list[int]) -> None:
    with LoopbackServer(says(YES_NO)) as server:
        doing = work()
        options = {"model": critic(server), "prompt": RATE, "on_error": on_error}
        made = apply(Filter, options, NUMBERS, doing)
        assert [row["n"] for row in made] == expected
        assert list(made[0]) == ["n"]
        assert [(error.row, error.step) for error in doing.errors] == [(5, "filter"), (6, "filter")]
        assert server.prompts[0] == "How good is number 0\n\nAnswer with yes or no, and with nothing else."


EXPLAINED = {"explanation": "why"}
STEPS: list[tuple[type[Step], dict[str, Any], str | None, tuple[str, ...]]] = [
    (Rank, {"prompt": RATE, **EXPLAINED}, "s", ("n", "s", "why")),
    (Judge, {"responses": PAIR, "order": "shown", **EXPLAINED}, "w", ("n", "w", "why", "shown")),
    (Filter, {"prompt": RATE}, None, ("n",)),
]


@pytest.mark.parametrize(("step", "options", "name", "columns"), STEPS)
def test_no_rows_give_no_rows_with_the_same_columns(
    work: NewWork, step: type[Step], options: dict[str, Any], name: str | None, columns: tuple[str, ...]
) -> None:
    with LoopbackServer() as server:
        doing = work()
        made = result(step, {"model": critic(server), **options}, from_dicts(("n",), []), doing, name)
        assert isinstance(made, Rows)
        assert (made.columns, written(made, doing), server.count) == (columns, [], 0)


@pytest.mark.parametrize(("step", "options", "name", "columns"), STEPS)
def test_a_dry_run_counts_every_row_and_drops_none(
    tmp_path: Path, step: type[Step], options: dict[str, Any], name: str | None, columns: tuple[str, ...]
) -> None:
    with LoopbackServer() as server:
        dry = ProbingWork(tmp_path)
        rows = [{"n": number, "a": "x", "b": "y"} for number in range(1500)]
        made = result(step, {"model": critic(server), **options}, rows, dry, name)
        assert isinstance(made, Rows)
        assert len(list(made.dicts())) == 1500
        assert (dry.prober.probes[0].to_run, server.count, dry.errors) == (1500, 0, [])


MODEL = ModelSpec("m", "x")


@pytest.mark.parametrize(
    ("step", "options", "code"),
    [
        (Judge, {"responses": {"A": Template("{{ a }}")}}, "too-few-responses"),
        (Judge, {"responses": {}}, "too-few-responses"),
        (Judge, {"responses": [Template("a"), Template("b")]}, "wrong-type"),
        (Judge, {"responses": {"A": 1, "B": 2}}, "wrong-type"),
        (Judge, {"responses": {"A": Template("a"), "tie": Template("b")}, "ties": True}, "conflicting-options"),
        (Judge, {"responses": PAIR, "explanation": "name"}, "duplicate-column"),
        (Rank, {"prompt": RATE, "scale": [10, 1]}, "out-of-range"),
        (Rank, {"prompt": RATE, "scale": [1, 2, 3]}, "out-of-range"),
        (Rank, {"prompt": RATE, "scale": ["a", "b"]}, "out-of-range"),
        (Rank, {"prompt": RATE, "threshold": 11.0}, "out-of-range"),
        (Filter, {"prompt": None}, "missing-option"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, step: type[Step], options: dict[str, Any], code: str
) -> None:
    with pytest.raises(Wrong) as raised:
        result(step, {"model": MODEL, **options}, [{"n": 1}], ProbingWork(tmp_path), "name")
    assert raised.value.code == code
