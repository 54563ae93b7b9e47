"""Search and duplicates over short texts beside FAISS and datasketch called directly, and what memory they take."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from measure import Contestant, interleaved
from results import Result, Target
from tools import command_of, python_with

DIMENSIONS = 384
_QUERIES = 1000
_PACKAGES = ("faiss-cpu==1.15.1", "datasketch==2.0.0", "pyarrow==26.0.1")

_SEARCH = """
rule all:
    input:
        queries: "queries"
        docs: "docs"
    output: "data/found"
    retrieve found: input.docs
        query_vectors: "vector"
        text_vectors: "vector"
        columns: ["id"]
        k: 10
"""

_FAISS = """
import faiss
import numpy
import pyarrow as pa

def vectors(name):
    with pa.memory_map(name + "/data-00000-of-00001.arrow") as file:
        column = pa.ipc.open_stream(file).read_all()["vector"]
    found = numpy.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks]).reshape(-1, {dimensions})
    faiss.normalize_L2(found)
    return found

index = faiss.IndexFlatIP({dimensions})
index.add(vectors("docs"))
scores, numbers = index.search(vectors("queries"), 10)
numpy.savez("found.npz", scores=scores, numbers=numbers)
"""

_DEDUP = """
rule all:
    output: "data/kept"
    load: "texts.parquet"
    dedup: "text"
        method: "minhash"
        threshold: 0.7
        ngrams: 3
        num_perm: 128
"""

_DATASKETCH = """
import pyarrow as pa
import pyarrow.parquet as pq
from datasketch import MinHash, MinHashLSH

def grams(text):
    words = text.lower().split()
    return [" ".join(words[at : at + 3]).encode() for at in range(len(words) - 2)]

texts = pq.read_table("texts.parquet")["text"].to_pylist()
index, kept = MinHashLSH(threshold=0.7, num_perm=128), []
for number, sketch in enumerate(MinHash.generator(map(grams, texts), num_perm=128)):
    if not index.query(sketch):
        index.insert(number, sketch)
        kept.append(number)
pq.write_table(pa.table({"text": [texts[number] for number in kept]}), "kept.parquet")
"""

_STREAM = """
rule all:
    input: "exam"
    output: "data/clean"
    load: "texts.parquet"
    decontaminate: "exam"
        text: "{{ text }}"
        of: "{{ text }}"
        n: 8
    dedup: "text"
    validate:
        duplicate_rate: 0
        null_rate:
            text: 0
        length:
            text:
                at_least: 1
"""


def cases(folder: Path, rows: int, runs: int) -> Iterator[Result]:
    """Measure in `folder`; `rows` of the larger tables."""
    folder.mkdir(parents=True, exist_ok=True)
    python = python_with("meanings", _PACKAGES)
    yield _search(folder, python, rows, runs)
    yield _duplicates(folder, python, rows, runs)
    few = _stream(folder, 10_000, runs)
    yield few
    if rows > 10_000:
        flat = few.measured["dreammake"].mebibytes * 1.2
        yield _stream(folder, rows, runs, Target("1.2 x the memory of 10,000 rows", mebibytes=flat))


def _search(folder: Path, python: str | None, rows: int, runs: int) -> Result:
    ours, theirs = _places(folder / "search")
    _apart(_write_vectors, ours / "docs", rows)
    _apart(_write_vectors, ours / "queries", _QUERIES)
    for name in ("docs", "queries"):
        (theirs / name).symlink_to(ours / name)
    (ours / "Dreamfile").write_text(_SEARCH)
    (theirs / "peer.py").write_text(_FAISS.format(dimensions=DIMENSIONS))
    case = f"{_QUERIES:,} queries for the 10 nearest of {rows:,} vectors of {DIMENSIONS} numbers"
    return _beside(case, ours, theirs, "FAISS", python, runs)


def _duplicates(folder: Path, python: str | None, rows: int, runs: int) -> Result:
    ours, theirs = _places(folder / "duplicates")
    for place in (ours, theirs):
        _apart(_write_texts, place / "texts.parquet", rows)
    (ours / "Dreamfile").write_text(_DEDUP)
    (theirs / "peer.py").write_text(_DATASKETCH)
    return _beside(f"near duplicates of {rows:,} texts, by MinHash", ours, theirs, "datasketch", python, runs)


def _stream(folder: Path, rows: int, runs: int, *targets: Target) -> Result:
    """What memory steps take through which rows stream."""
    place, _ = _places(folder / f"stream{rows}")
    _apart(_write_texts, place / "texts.parquet", rows)
    _apart(_write_exam, place / "exam")
    (place / "Dreamfile").write_text(_STREAM)
    contestant = Contestant("dreammake", command_of("dreammake") or [], place, lambda: _forget(place))
    case = f"{rows:,} rows through load, decontaminate, dedup, validate"
    return Result(case, interleaved([contestant], runs), targets)


def _beside(case: str, ours: Path, theirs: Path, peer: str, python: str | None, runs: int) -> Result:
    contestants = [Contestant("dreammake", command_of("dreammake") or [], ours, lambda: _forget(ours))]
    if python is not None:
        contestants.append(Contestant(peer, [python, "peer.py"], theirs))
    target = Target(f"1.2 x {peer}", peer, 1.2)
    return Result(case, interleaved(contestants, runs, limit=1800), (target,))


def _places(folder: Path) -> tuple[Path, Path]:
    shutil.rmtree(folder, ignore_errors=True)
    places = folder / "dreammake", folder / "peer"
    for place in places:
        place.mkdir(parents=True)
    return places


def _forget(place: Path) -> None:
    shutil.rmtree(place / "data", ignore_errors=True)
    shutil.rmtree(place / ".dreammake", ignore_errors=True)


def _apart(write: Callable[..., None], *arguments: Any) -> None:
    """Write in a process of its own: what this one takes, its children are measured with."""
    process = get_context("spawn").Process(target=write, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def _write_vectors(folder: Path, rows: int) -> None:
    """A dataset of ids and vectors of chance."""
    import numpy
    import pyarrow as pa

    from dreammake.core.rows import Rows
    from dreammake.store import dataset_writer
    from dreammake.store.dataset import write_dataset

    dataset_writer.FILE_BYTES = 1 << 40  # one file, so that the peer's script stays short
    chance = numpy.random.default_rng(rows)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            flat = chance.standard_normal(count * DIMENSIONS, dtype=numpy.float32)
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat), DIMENSIONS)
            yield pa.record_batch([pa.array(range(start, start + count)), vectors], names=["id", "vector"])

    write_dataset(Rows(("id", "vector"), batches), folder)


def _write_exam(folder: Path) -> None:
    from dreammake.core.rows import from_dicts
    from dreammake.store.dataset import write_dataset

    write_dataset(from_dicts(("text",), [{"text": text} for text in _texts(1000, seed=1)]), folder)


def _write_texts(file: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, rows, 100_000):
            texts = _texts(min(100_000, rows - start), seed=start)
            writer.write_table(pa.table({"text": texts}, schema=schema))


def _texts(count: int, seed: int) -> list[str]:
    """Texts of 12 words of chance, a fifth of them another one with its last word changed."""
    chance = random.Random(seed)
    words = [f"w{number}" for number in range(20_000)]
    texts = [" ".join(chance.choices(words, k=12)) for _ in range(count)]
    for at in range(0, count - 1, 5):
        texts[at + 1] = texts[at].rsplit(" ", 1)[0] + " other"
    return texts
