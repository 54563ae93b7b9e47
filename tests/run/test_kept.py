"""Folders that outlive their job: complete or absent, one for each content."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.values import ModelSpec
from dreammake.run.kept import KeptFolder, kept_folder

WORDS = ModelSpec("words", "words", "hashing", {"dimensions": 8})


def folder_for(state: Path, **changes: Any) -> KeptFolder:
    given: dict[str, Any] = {
        "dataset": "docs",
        "content": "1",
        "model": WORDS,
        "identity": {"m": 1},
        "how": {"of": "a"},
    }
    return kept_folder(state, **(given | changes))


def fill(folder: Path) -> None:
    (folder / "index").write_text("whole")


def test_it_is_filled_once(tmp_path: Path) -> None:
    filled: list[Path] = []
    for _ in range(2):
        made = folder_for(tmp_path).make(lambda folder: (filled.append(folder), fill(folder))[1])
        assert (made / "index").read_text() == "whole"
    assert len(filled) == 1 and not filled[0].exists()


def test_what_tells_two_apart(tmp_path: Path) -> None:
    one = folder_for(tmp_path).path
    assert folder_for(tmp_path, model=ModelSpec("other name", "words", "hashing", {"dimensions": 8})).path == one
    changes: list[dict[str, Any]] = [
        {"dataset": "more"},
        {"content": "2"},
        {"identity": {"m": 2}},
        {"how": {"of": "b"}},
        {"model": ModelSpec("words", "words", "hashing", {"dimensions": 9})},
        {"model": None},
    ]
    others = [folder_for(tmp_path, **change).path for change in changes]
    assert len({one, *others}) == 7


def test_another_content_takes_the_place_and_another_text_does_not(tmp_path: Path) -> None:
    first, text = folder_for(tmp_path), folder_for(tmp_path, how={"of": "b"})
    first.make(fill)
    text.make(fill)
    folder_for(tmp_path, content="2", identity={"m": 2}).make(fill)
    assert (first.there, text.there) == (False, True)


def test_what_failed_half_way_is_not_there(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        fill(folder)
        raise RuntimeError("killed")

    kept = folder_for(tmp_path)
    with pytest.raises(RuntimeError):
        kept.make(half)
    assert not kept.there
    assert sorted(file.name for file in kept.make(fill).iterdir()) == ["index"]


def test_two_at_once_fill_it_once(tmp_path: Path) -> None:
    filled: list[Path] = []
    begun = threading.Barrier(2)

    def work() -> None:
        begun.wait()
        folder_for(tmp_path).make(lambda folder: (filled.append(folder), fill(folder))[1])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled) == 1
