from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dreammake.core.options import OptionSet, Text
from dreammake.core.rows import Rows, add_column, with_column
from dreammake.core.step import Step, Work
from dreammake.steps._row_texts import TemplateTexts
from dreammake.steps._vectors import EmbeddingModel, NotEmbedded, as_lists, embedded

if TYPE_CHECKING:
    import pyarrow as pa


class Embed(Step):
    """Writes the vector of a text as the column NAME: `embed vector:` with `text: "{{ question }}"`.

    The column holds lists of 32-bit numbers, all of one length. A vector is kept in the prompt cache under its text, so
    that an edited row embeds one text again, and a row that moved none. A row whose columns are null, or whose text is
    blank, has null. A text that is longer than the model reads is cut by it, or refused by its endpoint.

    Rows stream: memory does not depend on how many there are.
    """

    named = "column"
    asks_by = "model"
    embeds = True
    paper = "Embed"
    example = """
model words: "words"
    engine: "hashing"

rule all:
    output: "data/vectors"
    rows: [{"question": "Why is the sea salt?"}, {"question": "How do otters sleep?"}]
    embed vector:
        model: words
        text: "{{ question }}"
"""

    class Options(OptionSet):
        model = EmbeddingModel("The model that makes the vectors.")
        text = Text("The text of a row.")

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        texts = TemplateTexts(options.text, rows.columns)

        def change(batch: pa.RecordBatch) -> pa.RecordBatch:
            import pyarrow as pa

            try:
                made = as_lists(*embedded(texts.of(batch), options.model, work))
            except NotEmbedded:
                made = pa.nulls(batch.num_rows)
            return with_column(batch, name, made)

        return rows.then(add_column(rows.columns, name), change, same_count=True)
