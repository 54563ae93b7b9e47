"""Features: what Hugging Face `datasets` knows of a column beside its Arrow type (an image, the names of classes).

In a stream of batches, a feature that is more than its type travels in the metadata of its column's Arrow field, so
that it follows the column through selecting and renaming, and is gone once the column is written anew. In files it
stands where `datasets` puts it: in the schema's metadata and in `dataset_info.json`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_FIELD = b"dreammake.feature"
_SCHEMA = b"huggingface"


def feature_of(kind: pa.DataType) -> Any:
    """The JSON of the feature that `datasets` gives to an Arrow type."""
    import pyarrow as pa

    types = pa.types
    if types.is_struct(kind):
        return {field.name: feature_of(field.type) for field in kind}
    if types.is_fixed_size_list(kind):
        return {"feature": feature_of(kind.value_type), "length": kind.list_size, "_type": "List"}
    if types.is_list(kind):
        return {"feature": feature_of(kind.value_type), "_type": "List"}
    if types.is_large_list(kind):
        return {"feature": feature_of(kind.value_type), "_type": "LargeList"}
    if isinstance(kind, pa.JsonType):
        return {"_type": "Json"}
    return {"dtype": _dtype(kind), "_type": "Value"}


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """The JSON features of all columns."""
    return {field.name: _own(field) or feature_of(field.type) for field in schema}


def kind_of(field: pa.Field) -> str:
    """A column's kind as a reader is told: `Image`, `ClassLabel`, else its Arrow type."""
    match _own(field):
        case {"_type": str(kind)} if kind not in ("Value", "List", "LargeList"):
            return kind
    return str(field.type)


def for_stream(schema: pa.Schema) -> pa.Schema:
    """A file's schema as one for a stream: features that are more than their type stand in their fields."""
    import pyarrow as pa

    known = _in_schema(schema)
    fields = []
    for field in schema:
        feature = _own(field) or known.get(field.name)
        more = feature is not None and feature != feature_of(field.type)
        fields.append(field.with_metadata({_FIELD: json.dumps(feature)} if more else None))
    return pa.schema(fields)


def for_file(schema: pa.Schema) -> pa.Schema:
    """A stream's schema as one for a file of `datasets`."""
    import pyarrow as pa

    info = {"info": {"features": features_of(schema)}}
    fields = [pa.field(field.name, field.type) for field in schema]
    return pa.schema(fields, {_SCHEMA: json.dumps(info, ensure_ascii=False)})


def _own(field: pa.Field) -> Any:
    text = (field.metadata or {}).get(_FIELD)
    return None if text is None else json.loads(text)


def _in_schema(schema: pa.Schema) -> dict[str, Any]:
    text = (schema.metadata or {}).get(_SCHEMA)
    try:
        return dict(json.loads(text)["info"]["features"]) if text else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _dtype(kind: pa.DataType) -> str:
    import pyarrow as pa

    types = pa.types
    if types.is_date(kind) or types.is_float16(kind) or types.is_float32(kind) or types.is_float64(kind):
        return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind).split("[")[0])
    return str(kind)
