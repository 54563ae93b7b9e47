"""The prompt cache: what it keeps, which answer serves which limit, two processes, damage."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Answer
from dreammake.store.prompt_cache import PromptCache, Typical

WHOLE = Answer("three words here", "stop", 5, 3, 0.25, "thinking")
CUT = Answer("three words", "length", 5, 2, 0.25)


def key(number: int) -> bytes:
    return number.to_bytes(20, "big")


def cache(folder: Path, **options: object) -> PromptCache:
    return PromptCache(folder / "model.sqlite", **options)  # type: ignore[arg-type]


def test_what_was_added_is_found_by_another_run(tmp_path: Path) -> None:
    first = cache(tmp_path)
    first.add([(key(1), WHOLE), (key(2), replace(WHOLE, text="ünïcode 😀 \n\0", reasoning=None))])
    first.close()
    found = cache(tmp_path).lookup([key(1), key(2), key(3)])
    assert found[key(1)] == replace(WHOLE, cached=True)
    assert found[key(2)].text == "ünïcode 😀 \n\0"
    assert key(3) not in found


def test_more_keys_than_one_query_takes(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    kept.add((key(number), replace(WHOLE, text=str(number))) for number in range(0, 5000, 2))
    found = kept.lookup(key(number) for number in range(5000))
    assert {int.from_bytes(name, "big"): answer.text for name, answer in found.items()} == {
        number: str(number) for number in range(0, 5000, 2)
    }
    assert len(kept) == 2500


@pytest.mark.parametrize(
    ("kept", "limit", "wanted", "serves"),
    [
        (WHOLE, 10, 10, True),
        (WHOLE, 10, 20, True),
        (WHOLE, 10, None, True),
        (WHOLE, None, 3, True),
        (WHOLE, 10, 3, True),
        (WHOLE, 10, 2, False),
        (CUT, 2, 2, True),
        (CUT, 2, 3, False),
        (CUT, 2, None, False),
        (CUT, None, 100, False),
        (replace(WHOLE, completion_tokens=None), 10, 20, True),
        (replace(WHOLE, completion_tokens=None), 10, None, True),
        (replace(WHOLE, completion_tokens=None), 10, 5, False),
        (replace(WHOLE, completion_tokens=None), None, 5, False),
    ],
)
def test_which_limits_an_answer_serves(
    tmp_path: Path, kept: Answer, limit: int | None, wanted: int | None, serves: bool
) -> None:
    made = cache(tmp_path)
    made.add([(key(1), kept)], limit)
    assert (key(1) in made.lookup([key(1)], wanted)) is serves


@given(asked=st.lists(st.integers(1, 12), unique=True), length=st.integers(1, 12), wanted=st.integers(1, 12))
def test_the_cache_gives_what_the_model_would(
    tmp_path_factory: pytest.TempPathFactory, asked: list[int], length: int, wanted: int
) -> None:
    """A model that always says the same `length` words, cut by the limit: any answer served is the true one."""

    def ask(limit: int) -> Answer:
        cut = limit < length
        return Answer("w " * min(limit, length), "length" if cut else "stop", 1, min(limit, length))

    made = cache(tmp_path_factory.mktemp("cache"))
    for limit in asked:
        made.add([(key(1), ask(limit))], limit)
    found = made.lookup([key(1)], wanted).get(key(1))
    made.close()
    assert found in (None, replace(ask(wanted), cached=True))
    could_know = wanted in asked or (wanted >= length and any(limit >= length for limit in asked))
    assert (found is not None) is could_know


def test_the_first_answer_stays_and_is_given_back(tmp_path: Path) -> None:
    ours, theirs = cache(tmp_path), cache(tmp_path)
    theirs.add([(key(1), WHOLE)])
    there = ours.add([(key(1), replace(WHOLE, text="later")), (key(2), WHOLE)])
    assert {name: answer.text for name, answer in there.items()} == {key(1): "three words here"}
    assert len(theirs) == 2


def _write(folder: Path, start: int) -> None:
    kept = cache(folder)
    for number in range(start, start + 300):
        kept.add([(key(number), replace(WHOLE, text=str(number)))])
    kept.close()


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, start)) for start in (0, 150)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = cache(tmp_path).lookup(map(key, range(450)))
    assert [found[key(number)].text for number in range(450)] == [str(number) for number in range(450)]


def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "model.sqlite").write_bytes(b"not a database at all" * 100)
        said: list[str] = []
        made = cache(tmp_path, say=said.append)
        made.add([(key(1), WHOLE)])
        assert key(1) in made.lookup([key(1)])
        assert said == [
            "warning: the prompt cache model.sqlite was damaged; "
            f"it is now model.sqlite.damaged-{number}, and a new one begins"
        ]
        made.close()
    assert {file.name for file in tmp_path.iterdir()} == {
        "model.sqlite",
        "model.sqlite.damaged-1",
        "model.sqlite.damaged-2",
    }


def test_damage_inside_the_file_is_set_aside_when_it_is_met(tmp_path: Path) -> None:
    made = cache(tmp_path)
    made.add((key(number), WHOLE) for number in range(2000))
    made.close()
    path = tmp_path / "model.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[: 3 * 4096] + os.urandom(len(whole) - 3 * 4096))
    said: list[str] = []
    made = cache(tmp_path, say=said.append)
    assert made.lookup([key(5)]) == {}
    made.add([(key(5), WHOLE)])
    assert key(5) in made.lookup([key(5)])
    assert len(said) == 1


def test_a_readonly_cache_writes_nothing(tmp_path: Path) -> None:
    empty = cache(tmp_path, readonly=True)
    assert empty.lookup([key(1)]) == {}
    assert len(empty) == 0
    assert empty.typical() == Typical()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "model.sqlite").write_bytes(b"not a database at all" * 100)
    said: list[str] = []
    assert cache(tmp_path, readonly=True, say=said.append).lookup([key(1)]) == {}
    assert len(said) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["model.sqlite"]


def test_typical_is_the_mean_of_the_newest(tmp_path: Path) -> None:
    made = cache(tmp_path)
    made.add([(key(0), Answer("", "stop", 1, 999, 99.0))])
    made.add((key(number), Answer("", "stop", 1, number % 2 + 1, 0.5)) for number in range(1, 1001))
    assert made.typical() == Typical(1.5, 0.5)


def test_a_full_disk_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    made = cache(tmp_path)
    made.add([(key(1), WHOLE)])
    assert made._connection is not None
    made._connection.execute("pragma max_page_count = 8")
    with pytest.raises(DreamError) as raised:
        made.add((key(number), WHOLE) for number in range(2, 5000))
    assert raised.value.diagnostics[0].code == "disk-full"
    assert len(made) == 1


def test_answers_are_json_that_people_can_read(tmp_path: Path) -> None:
    made = cache(tmp_path, about={"model": "m"}, clock=lambda: 1e9)
    made.add([(key(1), WHOLE)], 10)
    made.close()
    rows = sqlite3.connect(tmp_path / "model.sqlite")
    assert rows.execute("select key, max_tokens, answer from answers").fetchall() == [
        (
            key(1),
            10,
            '{"text":"three words here","finish_reason":"stop","prompt_tokens":5,"completion_tokens":3,'
            '"seconds":0.25,"reasoning":"thinking","created":1000000000.0}',
        )
    ]
    assert rows.execute("select model from about").fetchall() == [('{"model":"m"}',)]


def test_what_an_answer_cost_is_kept_with_it(tmp_path: Path) -> None:
    dear = replace(WHOLE, cached_tokens=4, cost=0.0125)
    first = cache(tmp_path)
    first.add([(key(1), dear)])
    first.close()
    assert cache(tmp_path).lookup([key(1)])[key(1)] == replace(dear, cached=True)


@pytest.mark.parametrize("broken", ['{"text": "half', "{}", "3", '{"text": "no end"}'])
def test_an_answer_that_is_none_is_asked_and_written_anew(tmp_path: Path, broken: str) -> None:
    kept = cache(tmp_path)
    kept.add([(key(1), WHOLE), (key(2), WHOLE)])
    with sqlite3.connect(kept.path) as connection:
        connection.execute("update answers set answer = ? where key = ?", (broken, key(1)))
    connection.close()
    assert set(kept.lookup([key(1), key(2)])) == {key(2)}
    assert kept.typical().completion_tokens == WHOLE.completion_tokens
    kept.add([(key(1), replace(WHOLE, text="anew")), (key(2), replace(WHOLE, text="not this"))])
    found = kept.lookup([key(1), key(2)])
    assert (found[key(1)].text, found[key(2)].text) == ("anew", WHOLE.text)


@pytest.mark.parametrize("readonly", [True, False])
def test_a_file_of_a_newer_version_is_told_and_left_alone(tmp_path: Path, readonly: bool) -> None:
    made = cache(tmp_path)
    made.add([(key(1), WHOLE)])
    made.close()
    with sqlite3.connect(made.path) as connection:
        connection.execute("insert into migrations values ('of_the_future', 'now')")
    connection.close()
    before = made.path.read_bytes()
    with pytest.raises(DreamError) as told:
        cache(tmp_path, readonly=readonly)
    assert told.value.diagnostics[0].code == "newer-store"
    assert made.path.read_bytes() == before


def test_a_file_of_the_first_version_is_taken_along(tmp_path: Path) -> None:
    path = tmp_path / "model.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            create table migrations (name text primary key, applied text not null);
            insert into migrations values ('create_answers', '2026-01-01T00:00:00Z');
            create table answers (key blob not null, max_tokens integer not null, answer text not null);
            create unique index answers_key on answers (key, max_tokens);
            create table about (model text not null);
            """
        )
        connection.execute("insert into answers values (?, 0, ?)", (key(1), '{"text":"old","finish_reason":"stop"}'))
    connection.close()
    assert cache(tmp_path, readonly=True).lookup([key(1)])[key(1)].text == "old"
    kept = cache(tmp_path)
    assert kept.lookup([key(1)])[key(1)].text == "old"
    kept.close()


def test_a_file_that_is_only_begun_is_empty_to_a_reader(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "model.sqlite").execute("create table other (x)")
    assert cache(tmp_path, readonly=True).lookup([key(1)]) == {}
