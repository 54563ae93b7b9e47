"""Publishing a dataset to a Hub on loopback, beside `upload_folder` of the same Parquet files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import Contestant, interleaved
from results import Result, Target
from tools import command_of

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.hub import LoopbackHub

_DREAMFILE = """
rule rows:
    output: "data/rows"
    load: "rows.parquet"
    publish: "me/rows"
"""

_UPLOAD = """
import huggingface_hub

huggingface_hub.create_repo("me/rows", repo_type="dataset")
huggingface_hub.upload_folder(repo_id="me/rows", repo_type="dataset", folder_path="files")
"""


def cases(folder: Path, rows: int, runs: int) -> Iterator[Result]:
    """Measure in `folder`; `rows` of 1 KB each. Both send to the same Hub, which is empty before each run."""
    ours, theirs = folder / "publish", folder / "upload"
    for place in (ours, theirs):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    (ours / "Dreamfile").write_text(_DREAMFILE)
    (theirs / "upload.py").write_text(_UPLOAD)
    _write_rows(ours / "rows.parquet", rows)
    publish = [*(command_of("dreammake") or []), "publish", "rows"]
    with LoopbackHub() as hub:
        os.environ.update(hub.environment)
        first = interleaved([Contestant("dreammake", publish, ours)], 1)
        if not any(one.problem for one in first.values()):
            for name, data in hub.repo("datasets/me/rows").files().items():
                (theirs / "files" / name).parent.mkdir(parents=True, exist_ok=True)
                (theirs / "files" / name).write_bytes(data)

        def reset() -> None:
            hub.repos.clear()
            hub.large.clear()

        contestants = [
            Contestant("dreammake", publish, ours, reset, "published"),
            Contestant("upload_folder", [sys.executable, "upload.py"], theirs, reset),
        ]
        target = Target("1.2 x upload_folder", "upload_folder", 1.2)
        yield Result(f"{rows:,} rows of 1 KB to the Hub", interleaved(contestants, runs), (target,))


def _write_rows(file: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for start in range(0, rows, 10_000):
        numbers = range(start, min(start + 10_000, rows))
        texts = [os.urandom(512).hex() for _ in numbers]
        table = pa.table({"n": list(numbers), "text": texts})
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
