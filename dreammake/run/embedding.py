"""Embeds texts: each vector is looked up in the cache of its model, and only texts without one go to the model.

A vector is kept as an answer is: its text is the base64 of its numbers (float32, little-endian).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import fail
from dreammake.core.engine import Answer, Embedder
from dreammake.core.values import ModelSpec
from dreammake.run.request_key import Use, use_for
from dreammake.store.file_digests import FileDigests
from dreammake.store.prompt_cache import PromptCache

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

AT_ONCE = 1024
"""Texts that are embedded before their vectors are kept."""


def embedding_use(
    spec: ModelSpec, identities: Mapping[str, str], digests: FileDigests, path: Callable[[str], Path]
) -> Use:
    """How a step uses a model for its embeddings. Raises KeyError for a model that is still to be built."""
    return use_for(spec, embedder_class, identities, digests, path, embeds=True)


def embedder_class(name: str) -> Any:
    """The class that makes embeddings with an engine. Raises DreamError where none does."""
    found = Catalog().embedder(name)
    if found is None:
        hint = 'take one of `engine: "sentence-transformers"`, or of "api"'
        fail("not-an-embedder", f"the engine `{name}` makes no embeddings", hint=hint)
    return found


def kept(cache: PromptCache, use: Use, texts: Sequence[str]) -> dict[str, NDArray[float32]]:
    """The vectors that are in the cache, by text."""
    import numpy

    keys = {_key(use, text): text for text in texts}
    found = cache.lookup(keys)
    return {
        keys[key]: numpy.frombuffer(base64.b64decode(answer.text), "<f4")
        for key, answer in found.items()
        if answer.text is not None
    }


def embedded(cache: PromptCache, use: Use, texts: Sequence[str], model: Callable[[], Embedder]) -> NDArray[float32]:
    """One vector a text, in their order; those that are new are kept."""
    import numpy

    vectors = kept(cache, use, texts)
    missing = iter(dict.fromkeys(text for text in texts if text not in vectors))
    while chunk := list(islice(missing, AT_ONCE)):
        made = model().embed(chunk)
        cache.add((_key(use, text), _answer(vector)) for text, vector in zip(chunk, made, strict=True))
        vectors |= dict(zip(chunk, made, strict=True))
    return numpy.stack([vectors[text] for text in texts]) if texts else numpy.zeros((0, 0), numpy.float32)


def _answer(vector: NDArray[float32]) -> Answer:
    return Answer(base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii"))


def _key(use: Use, text: str) -> bytes:
    said = use.prefix + b"embedding:" + text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(said).digest()[:16] + bytes(4)
