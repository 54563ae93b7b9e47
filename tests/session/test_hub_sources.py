"""`load: "hf://..."` from a Hub on loopback: pinned to a commit, read whole or as a stream, errors in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import LoopbackHub
from tests.support.project import Project

DREAMFILE = """
    rule words:
        output: "data/words"
        load: "hf://me/words"
            split: "train"
"""
ROWS = [{"word": "owl"}, {"word": "Ødipus 🦉"}, {"word": None}]


def lines(rows: list[dict[str, str | None]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.create("datasets/me/words", **{"train.jsonl": lines(ROWS), "test.jsonl": lines(ROWS[:1])})
        yield hub


def project_in(folder: Path, dreamfile: str = DREAMFILE) -> Project:
    return Project(folder / "project").write(dreamfile)


def environment(hub: LoopbackHub, folder: Path) -> dict[str, str]:
    return {**hub.environment, "HF_HOME": str(folder / "hf"), "HF_DATASETS_CACHE": str(folder / "hf/datasets")}


@pytest.mark.parametrize("streaming", [False, True])
def test_a_dataset_of_the_hub_is_read(tmp_path: Path, hub: LoopbackHub, streaming: bool) -> None:
    project = project_in(tmp_path, DREAMFILE + f"            streaming: {streaming}\n")
    project.ok("data/words", **environment(hub, tmp_path))
    assert project.rows("data/words") == ROWS


def test_planning_calls_nobody_and_a_later_build_reads_the_same_commit(tmp_path: Path, hub: LoopbackHub) -> None:
    project = project_in(tmp_path)
    there = environment(hub, tmp_path)
    assert project.plan("data/words") == {"data/words": "build"}
    project.ok("data/words", **there)
    asked = len(hub.calls)
    assert "up to date" in project.ok("data/words", **there).out
    assert project.plan("data/words") == {"data/words": "fresh"}
    assert len(hub.calls) == asked
    hub.repo("datasets/me/words").put("train.jsonl", lines([{"word": "new"}]).encode())
    project.edit('split: "train"', 'split: "train"\n    map n: len(word or "")')
    project.ok("data/words", **there)
    assert [row["word"] for row in project.rows("data/words")] == [row["word"] for row in ROWS], "pinned"
    project.ok("data/words", "--force", **there)
    assert [row["word"] for row in project.rows("data/words")] == ["new"], "-F looks again"


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("me/words", "me/nothing", "unreachable-source", "does not exist, or it is private"),
        ('"train"', '"trian"', "no-such-split", "did you mean `train`"),
        ('            split: "train"\n', "", "several-splits", "train, test"),
    ],
)
def test_what_the_hub_lacks_is_told(
    tmp_path: Path, hub: LoopbackHub, old: str, new: str, code: str, words: str
) -> None:
    project = project_in(tmp_path, DREAMFILE.replace(old, new))
    result = project.run("data/words", **environment(hub, tmp_path))
    assert result.code == 1
    assert f"[{code}]" in result.out + result.err
    assert words in result.out + result.err


def test_a_hub_that_is_away_is_told(tmp_path: Path) -> None:
    gone = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    result = project_in(tmp_path).run("data/words", **gone)
    assert result.code == 1
    assert "[unreachable-source]" in result.out + result.err
