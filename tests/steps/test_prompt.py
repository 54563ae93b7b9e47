"""The steps `prompt` and `generate`, with models behind a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.asking import AskingWork, ProbingWork
from support.server import LoopbackServer, Trouble, prompt_of
from support.work import apply, result

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.values import Function, ModelSpec, Template, TypeName
from dreammake.run.request_key import TO_BE_BUILT
from dreammake.steps.generate import Generate
from dreammake.steps.prompt import Prompt

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


def echo(body: dict[str, Any]) -> str:
    return f"  <{prompt_of(body)}>\n"


def teacher(server: LoopbackServer, **options: Any) -> ModelSpec:
    return ModelSpec("teacher", "some/model", "api", {"base_url": server.base_url, **options})


def words(count: int) -> list[dict[str, Any]]:
    return [{"word": f"w{number}", "number": number} for number in range(count)]


ABOUT = Template("About {{ word }}")


def test_the_answer_without_blanks_is_the_column(work: NewWork) -> None:
    with LoopbackServer(echo) as server:
        made = apply(Prompt, {"model": teacher(server), "prompt": ABOUT}, words(3), work(), "text")
    assert made == [{**row, "text": f"<About {row['word']}>"} for row in words(3)]


def test_rows_of_many_batches_keep_their_order_and_columns(work: NewWork) -> None:
    with LoopbackServer(echo) as server:
        made = apply(Prompt, {"model": teacher(server), "prompt": ABOUT}, words(3500), work(), "word")
        assert [row["word"] for row in made] == [f"<About w{number}>" for number in range(3500)]
        assert [row["number"] for row in made] == list(range(3500))
        assert list(made[0]) == ["word", "number"]


def test_rows_stream_from_one_prompt_to_the_next(work: NewWork) -> None:
    with LoopbackServer(echo) as server:
        doing = work()
        options = {"model": teacher(server), "prompt": ABOUT}
        first = result(Prompt, options, words(2500), doing, "draft")
        assert isinstance(first, Rows)
        again = {"model": teacher(server), "prompt": Template("Better: {{ draft }}")}
        made = apply(Prompt, again, first, doing, "final")
        assert made[2499]["final"] == "<Better: <About w2499>>"
        assert server.count == 5000


def test_messages_and_system_are_templates(work: NewWork) -> None:
    messages = [
        {"role": "user", "content": Template("Q: {{ word }}")},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": Template("{{ number }}")},
    ]
    with LoopbackServer(echo) as server:
        options = {
            "model": teacher(server, system="ignored"),
            "messages": messages,
            "system": Template("Be {{ word }}."),
        }
        apply(Prompt, options, words(1), work(), "text")
        assert server.requests[0]["messages"] == [
            {"role": "system", "content": "Be w0."},
            {"role": "user", "content": "Q: w0"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "0"},
        ]


def test_the_step_overrides_the_models_sampling(work: NewWork) -> None:
    with LoopbackServer(echo) as server:
        model = teacher(server, temperature=0.7, max_tokens=50)
        options = {"model": model, "prompt": ABOUT, "temperature": 0, "top_p": 0.5, "stop": "x", "seed": 3}
        apply(Prompt, options, words(1), work(), "text")
        sent = {name: value for name, value in server.requests[0].items() if name not in ("model", "messages")}
        assert sent == {"temperature": 0.0, "top_p": 0.5, "stop": ["x"], "seed": 3, "max_tokens": 50}


def test_raising_n_asks_the_difference(work: NewWork) -> None:
    with LoopbackServer() as server:
        options = {"model": teacher(server, seed=1), "prompt": ABOUT}
        two = apply(Prompt, options | {"n": 2}, words(10), work(), "texts")
        assert server.count == 20
        three = apply(Prompt, options | {"n": 3}, words(10), work(), "texts")
        assert server.count == 30
        assert [row["texts"][:2] for row in three] == [row["texts"] for row in two]
        assert len({text for row in three for text in row["texts"]}) == 30
        one = apply(Prompt, options, words(10), work(), "text")
        assert server.count == 30
        assert [row["text"] for row in one] == [row["texts"][0] for row in two]


def refuse_odd(body: dict[str, Any], number: int) -> Trouble | None:
    return Trouble(400, message="too odd") if int(prompt_of(body).rsplit("w", 1)[1]) % 2 else None


def test_a_failure_fails_the_step_after_all_were_asked(work: NewWork) -> None:
    with LoopbackServer(echo, trouble=refuse_odd) as server:
        options = {"model": teacher(server), "prompt": ABOUT}
        with pytest.raises(DreamError) as raised:
            apply(Prompt, options, words(2001), work(), "text")
        diagnostic = raised.value.diagnostics[0]
        assert (diagnostic.code, raised.value.exit_code) == ("prompts-failed", 1)
        assert diagnostic.message.startswith("1,000 of 2,001 rows failed: 1,000 × ")
        assert "too odd" in diagnostic.message
        assert server.count == 2001
        server.trouble = lambda body, number: None
        assert len(apply(Prompt, options, words(2001), work(), "text")) == 2001
        assert server.count == 3001


def test_failed_rows_are_left_out_or_null(work: NewWork) -> None:
    with LoopbackServer(echo, trouble=refuse_odd) as server:
        options = {"model": teacher(server), "prompt": ABOUT}
        doing = work()
        skipped = apply(Prompt, options | {"on_error": "skip"}, words(5), doing, "text")
        assert [row["word"] for row in skipped] == ["w0", "w2", "w4"]
        null = apply(Prompt, options | {"on_error": "null"}, words(3), doing, "text")
        assert [row["text"] for row in null] == ["<About w0>", None, "<About w2>"]
        lists = apply(Prompt, options | {"on_error": "null", "n": 2}, words(2), doing, "text")
        assert [row["text"] for row in lists] == [["<About w0>"] * 2, [None, None]]


def test_a_row_that_cannot_be_rendered_is_named(work: NewWork) -> None:
    with LoopbackServer(echo) as server:
        options = {"model": teacher(server), "prompt": Template("{{ word.more.deep }}")}
        rows = [{"word": {"more": {"deep": "x"} if number != 1002 else None}} for number in range(1500)]
        doing = work()
        with pytest.raises(DreamError, match=r"prompts-failed: 1 of 1,500 rows failed: `{{ word.more.deep }}` fails: "):
            apply(Prompt, options, rows, doing, "text")
        assert server.count == 1499, "the other rows are asked all the same"
        [error] = doing.errors
        assert (error.row, error.step, error.code, error.again) == (1002, "prompt text", "row-error", False)
        assert error.values == {"word": {"more": None}}


def test_progress_counts_rows(work: NewWork) -> None:
    with LoopbackServer(echo) as server:
        doing = work()
        rows = from_dicts(("word", "number"), words(4), 4)
        apply(Prompt, {"model": teacher(server), "prompt": ABOUT, "n": 2}, rows, doing, "text")
        assert doing.done == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "missing-option"),
        ({"prompt": ABOUT, "messages": [{"role": "user", "content": "x"}]}, "conflicting-options"),
        ({"messages": [{"role": "user"}]}, "wrong-type"),
        ({"messages": []}, "wrong-type"),
    ],
)
def test_what_is_asked_must_be_said_once(work: NewWork, options: dict[str, Any], code: str) -> None:
    with pytest.raises(Wrong) as raised:
        apply(Prompt, {"model": ModelSpec("m", "x"), **options}, words(1), work(), "text")
    assert raised.value.code == code


def test_no_rows_ask_nothing(work: NewWork) -> None:
    with LoopbackServer(echo) as server:
        empty = from_dicts(("word", "number"), [])
        assert apply(Prompt, {"model": teacher(server), "prompt": ABOUT}, empty, work(), "text") == []
        assert server.count == 0


def test_generate_asks_only_for_what_is_new(work: NewWork) -> None:
    with LoopbackServer() as server:
        options = {"model": teacher(server, seed=1), "prompt": Template("Invent.")}
        few = apply(Generate, options | {"count": 10}, [], work(), "text")
        assert (len(few), server.count) == (10, 10)
        many = apply(Generate, options | {"count": 2500}, [], work(), "text")
        assert (len(many), server.count) == (2500, 2500)
        assert many[:10] == few
        assert apply(Generate, options | {"count": 0}, [], work(), "text") == []


def test_generate_leaves_failures_out(work: NewWork) -> None:
    trouble = lambda body, number: Trouble(400) if number in (0, 3) else None  # noqa: E731
    with LoopbackServer(trouble=trouble) as server:
        options = {"model": teacher(server, concurrency=1), "prompt": Template("Invent."), "count": 6}
        assert len(apply(Generate, options | {"on_error": "skip"}, [], work(), "text")) == 4
        assert [row["text"] is None for row in apply(Generate, options | {"on_error": "null"}, [], work(), "text")] == [
            False
        ] * 6


def test_a_dry_run_counts_and_asks_nothing(work: NewWork, tmp_path: Path) -> None:
    with LoopbackServer(lambda body: "three words here") as server:
        options = {"model": teacher(server, concurrency=2, price=1.0), "prompt": ABOUT}
        before = ProbingWork(tmp_path)
        made = result(Prompt, options, words(12), before, "text")
        assert isinstance(made, Rows)
        assert [row["text"] for row in made.dicts()] == [None] * 12
        [probe] = before.prober.probes
        assert (probe.total, probe.cached, probe.to_run, probe.seconds, probe.exact) == (12, 0, 12, None, True)
        assert list(tmp_path.iterdir()) == []
        doing = work()
        apply(Prompt, options, words(8), doing, "text")
        doing.asker.close()
        files = sorted(tmp_path.rglob("*"))
        after = ProbingWork(tmp_path)
        made = result(Prompt, options, words(12), after, "text")
        assert isinstance(made, Rows)
        assert [row["text"] for row in made.dicts()] == ["three words here"] * 8 + [None] * 4
        [probe] = after.prober.probes
        assert (probe.total, probe.cached, probe.to_run) == (12, 8, 4)
        assert probe.completion_tokens == 12
        assert probe.tokens == round(sum(len(f"About w{number}") for number in range(8, 12)) / 4) + 12
        assert probe.seconds is not None and probe.seconds > 0
        assert probe.cost == pytest.approx(probe.tokens / 1e6, rel=0.1)
        assert server.count == 8
        assert sorted(tmp_path.rglob("*")) == files


def test_a_dry_run_counts_equal_requests_as_asking_would(work: NewWork, tmp_path: Path) -> None:
    with LoopbackServer() as server:
        for temperature, to_run in ((0.0, 1), (1.0, 5)):
            options = {"model": teacher(server), "prompt": Template("same"), "temperature": temperature}
            dry = ProbingWork(tmp_path)
            made = result(Prompt, options, words(5), dry, "text")
            assert isinstance(made, Rows)
            list(made.dicts())
            assert dry.prober.probes[0].to_run == to_run
            before = server.count
            apply(Prompt, options, words(5), work(), "text")
            assert server.count - before == to_run


def test_a_model_that_is_still_to_be_built_has_no_answers(tmp_path: Path) -> None:
    dry = ProbingWork(tmp_path)
    dry.prober.identities = {"models/round1": TO_BE_BUILT}
    model = ModelSpec("policy", "models/round1", "scripted", {}, target=True)
    made = result(Prompt, {"model": model, "prompt": ABOUT}, words(3), dry, "text")
    assert isinstance(made, Rows)
    assert len(list(made.dicts())) == 3
    assert (dry.prober.probes[0].to_run, dry.prober.probes[0].exact) == (3, False)


LABEL = {"label": Function("one_of", ("yes", "no"))}


def test_lists_of_structured_answers(work: NewWork) -> None:
    with LoopbackServer(lambda body: '{"label": "yes"}' if body["seed"] % 2 else "who knows?") as server:
        options = {"model": teacher(server, seed=1), "prompt": ABOUT, "n": 2, "schema": LABEL, "attempts": 1}
        doing = work()
        made = apply(Prompt, options | {"on_error": "null"}, words(2), doing, "raw")
        assert [row["label"] for row in made] == [["yes", None]] * 2
        assert [row["raw"] for row in made] == [['{"label": "yes"}', None]] * 2
        assert [(error.row, error.answer) for error in doing.errors] == [(0, "who knows?"), (1, "who knows?")]


def test_equal_prompts_are_asked_again_each_for_itself(work: NewWork) -> None:
    """Sampled requests that are equal keep their occurrence when one of them cannot be read."""
    heard: list[str] = []

    def answer(body: dict[str, Any]) -> str:
        heard.append(prompt_of(body))
        return "hm" if len(heard) in (2, 4) else f'{{"label": "yes", "id": {len(heard)}}}'

    with LoopbackServer(answer) as server:
        schema = LABEL | {"id": TypeName("int")}
        options = {"model": teacher(server, concurrency=1), "prompt": Template("Invent."), "schema": schema}
        made = apply(Generate, options | {"count": 4}, [], work(), "raw")
        assert server.count == 6
        assert sorted(row["id"] for row in made) == [1, 3, 5, 6]
        again = apply(Generate, options | {"count": 5}, [], work(), "raw")
        assert server.count == 7
        assert again[:4] == made
