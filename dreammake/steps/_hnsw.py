"""A graph of near vectors (HNSW), by FAISS: nearly exact, and much faster where there are many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray

_FILE = "hnsw.faiss"
_ADDED_AT_ONCE = 10_000


def write_graph(vectors: NDArray[float32], links: int, effort: int, folder: Path, said: Any) -> None:
    """Make the graph, by one thread: the same vectors always make the same one. `said(done)` is told how far it is.

    Raises DreamError `missing-package`.
    """
    import numpy

    faiss = _faiss()
    graph = faiss.IndexHNSWFlat(vectors.shape[1] or 1, links, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = effort
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        for at in range(0, len(vectors), _ADDED_AT_ONCE):
            graph.add(numpy.ascontiguousarray(vectors[at : at + _ADDED_AT_ONCE]))
            said(min(at + _ADDED_AT_ONCE, len(vectors)))
    finally:
        faiss.omp_set_num_threads(threads)
    faiss.write_index(graph, str(folder / _FILE))


class Graph:
    """A graph that was written into a folder. It is held in memory, with its vectors."""

    def __init__(self, folder: Path, effort: int) -> None:
        faiss = _faiss()
        self._graph = faiss.read_index(str(folder / _FILE))
        self._graph.hnsw.efSearch = effort

    def nearest(self, queries: NDArray[float32], k: int) -> tuple[NDArray[int64], NDArray[float32]]:
        """For each query the numbers of about the `k` nearest vectors, and their cosines; -1 stands for none."""
        import numpy

        scores, numbers = self._graph.search(numpy.ascontiguousarray(queries), k)
        return numbers, scores


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        message = '`method: "hnsw"` needs the package faiss-cpu, and it is not installed'
        fail("missing-package", message, hint="pip install 'dreammake-llm[search]'", exit_code=1)
    return faiss
