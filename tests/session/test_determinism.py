"""The same Dreamfile gives the same bytes wherever and however it is built."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.support.project import Project
from tests.support.server import Body, LoopbackServer

WORKFLOW = """
model teacher: "openai/big"
    base_url: "URL"
    api_key: "none"
    temperature: 1.0
    concurrency: 4

model table: "table"
    engine: "scripted"
    answers: ["a wave", "a hill", "rain", "ash"]
    temperature: 1.0

rule all:
    input: expand("data/{part}", part=["joined", "tagged", "train", "eval", "upper", "openings"])

rule people:
    output: "data/people"
    load: ["raw/*.csv", "raw/*.jsonl"]

rule asked:
    input: "data/people"
    output: "data/asked"
    prompt word:
        model: teacher
        prompt: "One word for {{ group }}."

rule joined:
    input:
        rows: "data/asked"
        groups: "data/groups"
    output: "data/joined"
    join: input.groups
        on: "group"
    sort: [group, word]

rule groups:
    output: "data/groups"
    rows: [{"group": "ä", "weight": 0.1}, {"group": "b", "weight": 1e300}, {"group": "Z", "weight": None}]

rule tagged:
    input: "data/people"
    output: "data/tagged"
    map tag: [group.lower(), str(id / 3)]
    explode: "tag"
    shuffle:
        seed: 3
    sample: 0.7

rule parts:
    input: "data/people"
    output:
        train: "data/train"
        eval: "data/eval"
    split:
        train: 0.6
        eval: 0.4
        stratify: "group"

rule upper:
    input: "data/people"
    output: "data/upper"
    python: "steps.py:upper"

rule openings:
    output: "data/openings"
    generate opening:
        model: table
        attributes:
            tone: ["grave", "light"]
            place: ["sea", "hill", "town"]
        count: 9
        prompt: "A {{ tone }} line about the {{ place }}."
"""
STEPS = """
def upper(row):
    # A set comes in an order that hashes decide; what is made of it must not.
    return {**row, "letters": sorted({*row["group"], "x", "y"})}
"""
FILES = {
    "raw/b.csv": "id,group\n" + "".join(f"{i},b\n" for i in range(40)),
    "raw/a.csv": "id,group\n" + "".join(f"{i},ä\n" for i in range(40, 60)),
    "raw/c.jsonl": "".join(f'{{"group": "Z", "id": {i}}}\n' for i in range(60, 71)),
    "steps.py": STEPS,
}


def answer(body: Body) -> str:
    """What it answers to the k-th equal request depends on k alone: a seed is sent with each."""
    return f"word {hashlib.sha256(str((body['messages'], body['seed'])).encode()).hexdigest()[:6]}"


def late(body: Body, number: int) -> float:
    """Answers overtake each other."""
    return (number * 7 % 5) / 100


def build(root: Path, order: list[str], workflow: str, *words: str, **environment: str) -> dict[str, str]:
    """Every byte of every target, as digests; `order` is that in which the files are written."""
    project = Project(root)
    for path in order:
        project.file(path, FILES[path])
    project.write(workflow).ok("all", *words, **environment)
    targets = root / "data"
    return {
        path.relative_to(targets).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(targets.rglob("*"))
        if path.is_file()
    }


def test_two_environments_give_the_same_bytes(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "a longer way" / "to ünother"
    with LoopbackServer(answer=answer, latency=late) as server:
        workflow = WORKFLOW.replace("URL", server.base_url).replace("temperature: 1.0", "temperature: 1.0\n    seed: 5")
        one = build(
            here, sorted(FILES), workflow, "-j1", PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C.UTF-8", LANG="C.UTF-8"
        )
        asked = server.count
        two = build(
            there,
            sorted(FILES, reverse=True),
            workflow,
            "-j2",
            "--state-dir",
            str(tmp_path / "state"),
            PYTHONHASHSEED="2",
            TZ="Pacific/Kiritimati",
            LC_ALL="C",
            LANG="de_DE.UTF-8",
            HOME=str(tmp_path),
            COLUMNS="40",
        )
        assert server.count == 2 * asked
    assert one == two
    assert len([path for path in one if path.endswith(".arrow")]) == 9


def test_the_umask_and_links_change_no_content(tmp_path: Path) -> None:
    """A project behind a link, built under another umask, has the fingerprints of the first."""
    workflow = 'rule all:\n    output: "data/a"\n    rows: [{"n": 1}]\n'
    first = build(tmp_path / "one", [], workflow)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    before = os.umask(0o077)
    try:
        assert build(tmp_path / "link", [], workflow) == first
    finally:
        os.umask(before)
