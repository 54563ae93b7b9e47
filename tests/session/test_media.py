"""Columns of images, through the real command line: they pass through the steps, on screens, and into what is sent."""

from __future__ import annotations

import base64
from pathlib import Path

import datasets
import pyarrow as pa
import pytest

from dreammake.hub.parquet import write_shards
from dreammake.store.dataset import open_dataset
from tests.support.project import Project

FEATURES = datasets.Features({"photo": datasets.Image(), "label": datasets.ClassLabel(names=["owl", "otter", "ox"])})
PHOTOS = [bytes([0x89, *b"PNG\r\n\x1a\n", number]) * 40 for number in range(3)]

DREAMFILE = """
rule all:
    output: "data/photos"
    load: "shots"
        split: "test"
    filter: label > 0
    map twice: label * 2
    shuffle:
    rename: {"photo": "image"}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A dataset folder of `datasets`, with two splits and images in it."""
    rows = {"photo": [{"bytes": photo, "path": None} for photo in PHOTOS], "label": [0, 1, 2]}
    table = pa.table(rows, schema=FEATURES.arrow_schema)  # from_dict would ask for Pillow
    photos = datasets.Dataset(datasets.table.InMemoryTable(table), info=datasets.DatasetInfo(features=FEATURES))
    datasets.DatasetDict({"train": photos.select([0]), "test": photos}).save_to_disk(str(tmp_path / "shots"))
    return Project(tmp_path).write(DREAMFILE)


def images(dataset: datasets.Dataset) -> dict[int, bytes]:
    plain = dataset.cast_column("image", datasets.Image(decode=False))
    return {row["label"]: row["image"]["bytes"] for row in plain}


def test_images_pass_through_unharmed(project: Project) -> None:
    project.ok()
    built = datasets.load_from_disk(str(project.root / "data/photos"))
    assert built.features["image"] == FEATURES["photo"]
    assert built.features["label"] == FEATURES["label"]
    assert images(built) == {1: PHOTOS[1], 2: PHOTOS[2]}
    assert project.built() == []


def test_they_are_images_on_the_hub(project: Project) -> None:
    project.ok()
    rows = open_dataset(project.root / "data/photos")
    (shard,) = write_shards(rows, 10_000, "train", project.root / "sent")
    sent = datasets.Dataset.from_parquet(str(shard.path), cache_dir=str(project.root / "cache"))
    assert sent.features["image"] == FEATURES["photo"]
    assert images(sent) == {1: PHOTOS[1], 2: PHOTOS[2]}
    card = project.ok("publish", "data/photos", "--to", "me/photos", "--dry-run").out
    assert "2 rows of `image` (Image), `label` (ClassLabel), `twice` (int64)" in card


def test_a_screen_has_their_size_and_a_program_their_bytes(project: Project) -> None:
    project.ok()
    assert '{"bytes": "360 bytes", "path": null}' in project.ok("show", "data/photos").out
    assert '{"bytes": "360 bytes", "path": null}' in project.ok("trace", "data/photos", "--row", "0").out
    shown = project.ok("show", "data/photos", "--json").document["rows"]
    assert {base64.b64decode(row["image"]["bytes"]) for row in shown} == set(PHOTOS[1:])


@pytest.mark.parametrize(
    ("dreamfile", "said"),
    [
        (DREAMFILE.replace('        split: "test"\n', ""), ["several-splits", "Dreamfile:4:11", "name one: `split:`"]),
        (
            'rule all:\n    input: "shots"\n    output: "data/photos"\n    take: 1\n',
            ["several-splits", "Dreamfile:2:12", "shots holds several datasets: train, test", '"shots/train"'],
        ),
    ],
)
def test_a_folder_of_several_splits_is_told_while_planning(project: Project, dreamfile: str, said: list[str]) -> None:
    result = project.write(dreamfile).run("--dry-run")
    assert result.code == 2
    assert all(word in result.err for word in said), result.err
    assert str(project.root) not in result.err
