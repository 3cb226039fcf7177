"""Which parquet columns a schema reads, and whether files have them with a usable type."""

import logging
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.types as pt

from embeddings.errors import InputError, nearest
from recsys.schema import Feature, Schema
from train.data.files import DataFile

log = logging.getLogger(__name__)

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


def check_columns(files: list[DataFile], fields: list[Field], ignored: set[str]) -> list[str]:
    """Check every file's columns against ``fields``; names of columns that nothing reads, sorted.

    Raises InputError for a column that is missing, appears twice, or has a type that cannot be read, and for a file
    whose columns differ from the first file's. Columns in ``ignored`` do not count as unread.
    """
    first = files[0]
    for f in files:
        for field in fields:
            _check_column(f, field, first)
    needed = {field.column for field in fields} | ignored
    return sorted({name for f in files for name in f.columns.names} - needed)


def _check_column(file: DataFile, field: Field, first: DataFile) -> None:
    name = field.column
    count = len(file.columns.get_all_field_indices(name))
    if count == 0 and file is not first:
        raise InputError(
            f"'{file.path}' has no column '{name}', but the first file '{first.name}' has: "
            f"all files of a split need the same columns; write it again or move it away"
        )
    if count == 0:
        hint = nearest(name, file.columns.names)
        raise InputError(
            f"'{file.path}' has no column '{name}'{hint}; columns there: {file.columns.names}; "
            f"write the column, or mend schema.yaml"
        )
    if count > 1:
        raise InputError(f"'{file.path}' has {count} columns named '{name}'; keep one")
    got = file.columns.field(name).type
    if not readable_as(got, field.kind):
        raise InputError(
            f"'{file.path}', column '{name}': got type {got}, wanted {WANTED[field.kind]}; "
            f"cast the column, or mend its feature in schema.yaml"
        )
    there = first.columns.field(name).type
    if not got.equals(there):
        raise InputError(
            f"'{file.path}', column '{name}' is {got}, but {there} in the first file '{first.name}': "
            f"all files of a split need the same types; write it again"
        )


def readable_as(got: pa.DataType, kind: Kind) -> bool:
    """Whether a column of arrow type ``got`` can be read as ``kind``."""
    if kind == "id":
        return pt.is_integer(got)
    if kind == "list":
        listed = pt.is_list(got) or pt.is_large_list(got) or pt.is_fixed_size_list(got)
        return listed and pt.is_integer(got.value_type)
    return pt.is_integer(got) or pt.is_floating(got) or pt.is_boolean(got)


def announce_unread(split: str, unread: list[str]) -> None:
    """Say once which columns of the files are not used."""
    if unread:
        names = ", ".join(f"'{n}'" for n in unread)
        log.warning(
            "split '%s': columns that no feature reads are ignored: %s; name them in schema.yaml to use them",
            split,
            names,
        )
