"""Embedding models, run in this process by Sentence Transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.engine import EmbedderOptions, EngineContext
from dreammake.core.options import Bool, Choice, Int, Str
from dreammake.core.values import ModelSpec
from dreammake.models._local_model import content_of, is_out_of_memory, opening, source_of

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


class SentenceTransformers:
    """Makes embeddings with a model of Sentence Transformers: a folder (a target that `train embedder` makes, say), or
    a name on the Hub.

    Texts are embedded in batches of similar length; a batch that does not fit into memory is halved, and so are those
    after it. A model that asks for an instruction before queries or documents gets it by `prompt`:
    `minilm(prompt="query: ")`.
    """

    version = 1
    heavy = True

    class Options(EmbedderOptions):
        dtype = Choice(
            "Type of the weights; `auto` is what the model was saved in.",
            "auto",
            "float32",
            "bfloat16",
            "float16",
            default="auto",
        )
        dimensions = Int(
            "How many numbers of each vector are kept, for a model that is trained for it.", default=None, at_least=1
        )
        revision = Str("Branch, tag or commit on the Hub.", default=None)
        trust_remote_code = Bool("Run code that comes with the model.", default=False)
        device = Str("Where it runs: cpu, cuda, cuda:1, mps; by default the best there is.", default=None, result=False)

    @staticmethod
    def weights(spec: ModelSpec, path: Callable[[str], Path]) -> Path | None:
        return content_of(spec, path)

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        options = self.Options(spec.options)
        self._spec = spec
        self._say = context.say
        self._batch_size = options.batch_size
        self._prompt = options.prompt or ""
        self._normalize = options.normalize
        with opening(spec):
            from sentence_transformers import SentenceTransformer

            self._model: Any = SentenceTransformer(
                source_of(spec.model, context),
                device=options.device,
                revision=options.revision,
                trust_remote_code=options.trust_remote_code,
                truncate_dim=options.dimensions,
                model_kwargs={"dtype": options.dtype},
            )

    def embed(self, texts: Sequence[str]) -> NDArray[float32]:
        import numpy

        if not texts:
            return numpy.zeros((0, self._model.get_embedding_dimension()), numpy.float32)
        while True:
            try:
                found = self._model.encode(
                    list(texts),
                    prompt=self._prompt,  # "" also keeps a prompt away that the model's folder names
                    batch_size=self._batch_size,
                    normalize_embeddings=self._normalize,
                    show_progress_bar=False,
                )
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._halve()
            else:
                return numpy.asarray(found, numpy.float32)

    def close(self) -> None:
        """Free the model's memory."""
        import torch

        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _halve(self) -> None:
        if self._batch_size == 1:
            hint = "shorten it, or take a smaller `dtype`"
            fail("out-of-memory", "one text to embed does not fit into memory", hint=hint, exit_code=1)
        self._batch_size //= 2
        self._say(f"a batch of texts does not fit into memory: {self._batch_size} from now on")
