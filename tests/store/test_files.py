from __future__ import annotations

import os
from pathlib import Path

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.rows import from_dicts
from dreammake.store.dataset import write_dataset
from dreammake.store.files import fingerprint_path, signature


def test_content_and_names_count_and_times_do_not(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "in").mkdir(parents=True)
        (tmp_path / folder / "in" / "x.txt").write_text("hello")
    os.utime(tmp_path / "b" / "in" / "x.txt", (1, 1))
    assert fingerprint_path(tmp_path / "a") == fingerprint_path(tmp_path / "b")
    (tmp_path / "b" / "in" / "x.txt").rename(tmp_path / "b" / "in" / "y.txt")
    assert fingerprint_path(tmp_path / "a") != fingerprint_path(tmp_path / "b")
    assert fingerprint_path(tmp_path / "a" / "in" / "x.txt") == fingerprint_path(tmp_path / "b" / "in" / "y.txt")


def test_the_card_and_the_state_of_a_dataset_are_no_content(tmp_path: Path) -> None:
    facts = write_dataset(from_dicts(("a",), [{"a": 1}]), tmp_path / "d")
    (tmp_path / "d" / "dreammake.json").write_text("{}")
    (tmp_path / "d" / "state.json").write_text("{}")
    assert fingerprint_path(tmp_path / "d") == facts.fingerprint
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "state.json").write_text("1")
    before = fingerprint_path(tmp_path / "other")
    (tmp_path / "other" / "state.json").write_text("2")
    assert fingerprint_path(tmp_path / "other") != before


def test_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("x")
    (tmp_path / "d" / "up").symlink_to("..")
    (tmp_path / "link").symlink_to("d/x")
    assert fingerprint_path(tmp_path / "link") == fingerprint_path(tmp_path / "d" / "x")
    assert len(fingerprint_path(tmp_path / "d")) == 32


def test_a_signature_changes_with_every_write(tmp_path: Path) -> None:
    file = tmp_path / "d" / "x"
    file.parent.mkdir()
    file.write_text("one")
    one, folder = signature(file), signature(file.parent)
    assert (signature(file), signature(file.parent)) == (one, folder)
    os.utime(file, ns=(1, 1))
    assert signature(file) != one
    assert signature(file.parent) != folder
    assert signature(tmp_path / "none") is None


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("nowhere")
    for path in (tmp_path / "none", tmp_path / "broken"):
        with pytest.raises(DreamError) as error:
            fingerprint_path(path)
        assert error.value.diagnostics[0].code == "no-such-file"
