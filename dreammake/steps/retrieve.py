from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Choice, ColumnNames, Dataset, Int, OptionSet, Str, Strings, Text, Wrong
from dreammake.core.rows import Rows, add_column, with_column
from dreammake.core.step import Columns, Look, Spooled, Step, Work
from dreammake.steps._columns import check_known, even_batches
from dreammake.steps._order import Picker, on_disk
from dreammake.steps._search import Hits, search_of
from dreammake.steps._vectors import EmbeddingModel, NotEmbedded

if TYPE_CHECKING:
    import pyarrow as pa


class Retrieve(Step):
    """Finds, for each row, the rows of another dataset that fit it best, and writes them as the column NAME.

    The column holds a list of dicts, best first: the columns of the found row, and its `score`. A text reads it as any
    list: `{% for note in notes %}{{ note.text }}{% endfor %}`.

    - **exact**: by the cosine of vectors. Each query is compared with all rows: a million of 384 numbers take some
      15 ms. Vectors are read from disk as they are needed.
    - **hnsw**: the same by a graph (HNSW), nearly exact and much faster; needs faiss-cpu. It is made by one
      thread, so that equal rows give equal results, and is held in memory.
    - **bm25**: by the words that both texts have, the rare ones first; needs no model. A row that shares no word with
      the query is not found.
    - **hybrid**: by `exact` and `bm25` together. Each gives 1/(60 + rank) for its first hundred rows, and the score is
      the sum.

    The index is made once, and kept below `.dreammake/indexes` for later jobs and builds: it is of one dataset with its
    content, one text and one model, so another content or model never meets it, and an edited row embeds one text. A
    row whose query is null or blank has null; rows of the other dataset without a text are never found. The rows that
    ask stream.
    """

    named = "column"
    value = "docs"
    asks_by = "model"
    embeds = True
    paper = "Retrieve"
    example = """
rule notes:
    output: "data/notes"
    rows: [{"text": "Salt is washed out of rocks."}, {"text": "Otters hold hands in their sleep."}]

rule questions:
    output: "data/questions"
    rows: [{"question": "Why do otters hold hands?"}]

rule all:
    input:
        questions: "data/questions"
        notes: "data/notes"
    output: "data/found"
    retrieve notes: input.notes
        method: "bm25"
        query: "{{ question }}"
        text: "{{ text }}"
        k: 1
"""

    class Options(OptionSet):
        docs = Dataset("The dataset that is searched: `input.docs`.")
        query = Text("What a row asks for.", default=None)
        text = Text("The text of a row that is searched.", over="docs", default=None)
        k = Int("How many rows are found.", unit="rows", default=5, at_least=1)
        method = Choice("How they are found.", "exact", "hnsw", "bm25", "hybrid", default="exact")
        model = EmbeddingModel("The model that makes the vectors of the texts.", default=None)
        query_model = EmbeddingModel(
            'The model for the queries, where it reads them otherwise: `e5(prompt="query: ")`.', default=None
        )
        query_vectors = ColumnNames("In place of `query`: the column that holds vectors.", default=None)
        text_vectors = Str("In place of `text`: the column of the other dataset that holds vectors.", default=None)
        columns = Strings("The columns of a found row; all but its vector, where nothing is said.", default=None)
        score = Str("What the score of a found row is called.", default="score")
        m = Int("Links of each vector in the graph of `hnsw`.", default=32, at_least=2)
        ef_construction = Int("Vectors that are looked at when one is put into the graph.", default=200, at_least=1)
        ef_search = Int("Vectors that are looked at for a query in the graph.", default=100, at_least=1)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check(options)
        docs = look.columns(options.docs)
        if docs is not None:
            for column in (options.text_vectors, *(options.columns or ())):
                if column is not None:
                    check_known(column, docs, f"the rows of {options.docs}")
            if options.score in _shown(options, docs):
                message = f"a found row would have two columns `{options.score}`"
                raise Wrong(message, 'call the score another name: `score: "likeness"`', "duplicate-column")
        return super().columns(options, name, have, look)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        docs = on_disk(work.open(options.docs), work)
        columns = add_column(rows.columns, name)
        return Rows(columns, lambda: _with_hits(options, name, rows, docs, work), rows.count)


def _check(options: Any) -> None:
    for side in ("query", "text"):
        _check_side(options, side)
    _check_models(options)
    for option in ("m", "ef_construction", "ef_search"):
        if options.method != "hnsw" and options[option] != options.declared()[option].default:
            message = f'`{option}` is for the graph of "hnsw", and the `method` is "{options.method}"'
            raise Wrong(message, "take it out", "conflicting-options")


def _check_side(options: Any, side: str) -> None:
    """Is there what is compared: a text where the search is by words, a text or vectors where it is by vectors?"""
    text, vectors, by_words = options[side], options[f"{side}_vectors"], options.method in ("bm25", "hybrid")
    if options.method == "bm25" and vectors is not None:
        message = f'`{side}_vectors` is for vectors, and `method: "bm25"` searches by words'
        raise Wrong(message, f"take it out, and say `{side}`", "conflicting-options")
    if text is None and (by_words or vectors is None):
        raise Wrong(f"there is nothing to search by: no `{side}`", f'add `{side}: "..."`', "missing-option")
    if text is not None and vectors is not None and not by_words:
        raise Wrong(f"`{side}` and `{side}_vectors` exclude each other", "keep one of them", "conflicting-options")
    if isinstance(vectors, list) and len(vectors) != 1:
        raise Wrong(f"`{side}_vectors` names one column, not {len(vectors)}", code="wrong-argument")


def _check_models(options: Any) -> None:
    models = [option for option in ("model", "query_model") if options[option] is not None]
    if options.method == "bm25":
        if models:
            message = f'`{models[0]}` makes vectors, and `method: "bm25"` searches by words'
            raise Wrong(message, 'take it out, or say `method: "hybrid"`', "conflicting-options")
        return
    queries_lack = options.query_vectors is None and not models
    if queries_lack or (options.text_vectors is None and options.model is None):
        raise Wrong("texts are compared by a `model`", "name one that makes embeddings", "missing-option")


def _shown(options: Any, columns: Sequence[str]) -> list[str]:
    """The columns of the other dataset that a found row has."""
    return options.columns or [column for column in columns if column != options.text_vectors]


def _with_hits(options: Any, name: str, rows: Rows, docs: Spooled, work: Work) -> Iterator[pa.RecordBatch]:
    shown = docs.table.select(_shown(options, docs.columns))
    picker = Picker(shown)
    try:
        search = search_of(options, rows.columns, docs, work)
    except NotEmbedded:
        search = None
    for batch in even_batches(rows):
        try:
            hits = list(_unknown(options.k, batch, docs) if search is None else search.hits(batch))
        except NotEmbedded:
            hits = list(_unknown(options.k, batch, docs))
        yield with_column(batch, name, _as_lists(hits, picker, options.score))


def _unknown(k: int, batch: pa.RecordBatch, docs: Spooled) -> Iterator[Hits]:
    """In a dry run, where vectors are still to be made, the first rows stand for those that will be found."""
    first = [(number, 0.0) for number in range(min(k, docs.count))]
    return (first for _ in range(batch.num_rows))


def _as_lists(hits: Sequence[Hits | None], picker: Picker, score: str) -> pa.Array:
    """An Arrow array of lists of the found rows."""
    import pyarrow as pa

    flat = [hit for some in hits for hit in some or ()]
    found = picker.rows([number for number, _ in flat])
    fields = [*(pa.field(field.name, field.type) for field in found.schema), pa.field(score, pa.float32())]
    scores = pa.array([value for _, value in flat], pa.float32())
    ends = [0]
    for some in hits:
        ends.append(ends[-1] + len(some or ()))
    mask = pa.array([some is None for some in hits]) if None in hits else None
    structs = pa.StructArray.from_arrays([*found.columns, scores], fields=fields)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), structs, mask=mask)
