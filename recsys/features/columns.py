"""Which raw columns the features of a schema are read from, and as what type."""

from dataclasses import dataclass
from typing import Literal

from recsys.schema import Feature, Schema

Kind = Literal["label", "id", "list", "float"]


@dataclass(frozen=True)
class Field:
    """One raw column as a type. Features that read a column in the same way share its field.

    label  [R]  0 or 1, kept as float32
    id     [R]  integers, kept as int64
    list   Ragged of R bags of integers, the newest ``max_length`` of each kept as int64
    float  [R]  numbers, kept as float32
    """

    column: str
    kind: Kind
    max_length: int | None = None


def feature_field(feature: Feature) -> Field:
    """The field that ``feature`` is read from."""
    if feature.kind in ("bag", "sequence"):
        return Field(feature.source, "list", feature.max_length)
    return Field(feature.source, "id" if feature.kind == "id" else "float")


def feature_fields(schema: Schema) -> list[Field]:
    """The fields that features are read from, each once."""
    return list(dict.fromkeys(map(feature_field, schema.features)))


def label_field(schema: Schema) -> Field:
    """The field of the label."""
    return Field(schema.label, "label")


def id_field(column: str) -> Field:
    """The field of a column of single ids, such as the user's or the timestamp's."""
    return Field(column, "id")


def needed_fields(schema: Schema, with_labels: bool) -> list[Field]:
    """Every field that one batch needs, each once."""
    fields = [id_field(schema.user), *feature_fields(schema)]
    if with_labels:
        fields.insert(0, label_field(schema))
    if schema.timestamp:
        fields.append(id_field(schema.timestamp))
    return list(dict.fromkeys(fields))
