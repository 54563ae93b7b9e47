"""Data steps of dreammake beside a hand-written pyarrow loop, and what a trivial data job costs on a warm worker."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import Contestant, Measured, interleaved
from results import Result, Target
from tools import command_of

_DREAMFILE = """
rule all:
    input: "data/out"

rule out:
    output: "data/out"
    load: "rows.parquet"
    map short: text[:20].upper()
    filter: len(text) > 60
    select: ["id", "short"]
"""

_LOOP = """
import pyarrow as pa
import pyarrow.parquet as pq

writer = None
for batch in pq.ParquetFile("rows.parquet").iter_batches(10_000):
    texts = batch.column("text").to_pylist()
    short = pa.array([text[:20].upper() for text in texts])
    keep = pa.array([len(text) > 60 for text in texts])
    made = pa.record_batch([batch.column("id"), short], names=["id", "short"]).filter(keep)
    writer = writer or pa.ipc.new_stream("out.arrow", made.schema)
    writer.write_batch(made)
writer.close()
"""

_JOBS = """
rule all:
    input: expand("data/d{{i}}", i=range({jobs}))

rule one:
    output: "data/d{{i:int}}"
    rows: [{{"x": 1}}, {{"x": 2}}]
    map y: x + wildcards.i
    filter: y > 0
"""


def cases(folder: Path, rows: int, runs: int) -> Iterator[Result]:
    """Measure in `folder`; `rows` of the table that both read."""
    folder.mkdir(parents=True, exist_ok=True)
    yield _table(folder, rows, runs)
    yield _warm_jobs(folder, runs)


def _table(folder: Path, rows: int, runs: int) -> Result:
    """load, map, filter, select."""
    ours, loop = folder / "steps", folder / "loop"
    for place in (ours, loop):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        _write_rows(place / "rows.parquet", rows)
    (ours / "Dreamfile").write_text(_DREAMFILE)
    (loop / "loop.py").write_text(_LOOP)

    def reset() -> None:
        shutil.rmtree(ours / "data", ignore_errors=True)
        shutil.rmtree(ours / ".dreammake", ignore_errors=True)

    contestants = [
        Contestant("dreammake", command_of("dreammake") or [], ours, reset),
        Contestant("pyarrow loop", [sys.executable, "loop.py"], loop),
    ]
    target = Target("3 x the loop, 400 MiB", "pyarrow loop", 3.0, mebibytes=400)
    return Result(f"{rows:,} rows through load, map, filter, select", interleaved(contestants, runs), (target,))


def _warm_jobs(folder: Path, runs: int) -> Result:
    """The difference between a build of many jobs and one of few: what a job costs once all is imported."""
    few, many = 20, 220
    contestants = []
    for jobs in (few, many):
        place = folder / f"jobs{jobs}"

        def reset(place: Path = place, jobs: int = jobs) -> None:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            (place / "Dreamfile").write_text(_JOBS.format(jobs=jobs))

        contestants.append(Contestant(str(jobs), [*(command_of("dreammake") or []), "-j1"], place, reset))
    measured = interleaved(contestants, runs)
    small, large = measured[str(few)], measured[str(many)]
    problem = small.problem or large.problem
    ours = Measured(max(0.0, large.seconds - small.seconds), large.mebibytes, problem)
    target = Target("10 ms a job", seconds=0.010 * (many - few))
    return Result("a trivial data job on a warm worker", {"dreammake": ours}, (target,), jobs=many - few)


def _write_rows(file: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = ["abstract", "tweet", "teacher", "student", "paper", "model", "result"]
    texts = [" ".join(words[(i * k) % 7] for k in range(1, 4 + i % 12)) for i in range(2520)]
    step = 100_000
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, rows, step):
            ids = range(start, min(rows, start + step))
            writer.write_table(pa.table({"id": list(ids), "text": [texts[i % 2520] for i in ids]}, schema=schema))
