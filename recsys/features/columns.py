"""Which columns the features of a schema are read from, and as what type."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.types as pt

from recsys.schema import Feature, Schema

Kind = Literal["label", "id", "list", "float"]
WANTED = {
    "label": "an integer, bool or float column of 0 and 1",
    "id": "an integer column",
    "list": "a list of integers",
    "float": "a float, integer or bool column",
}


@dataclass(frozen=True)
class Field:
    """One column as the reader keeps it. Features that read a column in the same way share its field."""

    column: str
    kind: Kind
    max_length: int | None = None


def feature_field(feature: Feature) -> Field:
    """The field that ``feature`` is read from."""
    if feature.kind in ("bag", "sequence"):
        return Field(feature.source, "list", feature.max_length)
    return Field(feature.source, "id" if feature.kind == "id" else "float")


def label_field(schema: Schema) -> Field:
    return Field(schema.label, "label")


def id_field(column: str) -> Field:
    return Field(column, "id")


def needed_fields(schema: Schema, with_labels: bool) -> list[Field]:
    """Every field that one batch needs, each once."""
    fields = [id_field(schema.user)] + [feature_field(f) for f in schema.features]
    if with_labels:
        fields.insert(0, label_field(schema))
    if schema.timestamp:
        fields.append(id_field(schema.timestamp))
    return list(dict.fromkeys(fields))


def readable_as(got: pa.DataType, kind: Kind) -> bool:
    """Whether a column of arrow type ``got`` can be read as ``kind``."""
    if kind == "id":
        return pt.is_integer(got)
    if kind == "list":
        listed = pt.is_list(got) or pt.is_large_list(got) or pt.is_fixed_size_list(got)
        return listed and pt.is_integer(got.value_type)
    return pt.is_integer(got) or pt.is_floating(got) or pt.is_boolean(got)
