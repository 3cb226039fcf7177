"""Content columns: which Arrow types hold pictures and texts of items, and ids; checks columns and reads ids."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from embeddings.errors import InputError, nearest, shown
from embeddings.files.parquet_batches import read_batches, refuse_many_values
from embeddings.files.parquet_footer import DataFile

READ_ROWS = 1 << 20  # ids decoded at once
CONTENT_TYPES = {"image": "binary, the bytes of a JPEG or PNG file", "text": "strings"}  # kind -> what is allowed


def holds_content(got: pa.DataType, kind: str) -> bool:
    """Whether a column of type ``got`` can hold content of ``kind``, image or text."""
    if kind == "image":
        return pt.is_binary(got) or pt.is_large_binary(got)
    return pt.is_string(got) or pt.is_large_string(got)


def holds_ids(got: pa.DataType) -> bool:
    """Whether a column of type ``got`` holds ids: signed integers, and unsigned ones that int64 has room for."""
    return pt.is_integer(got) and got != pa.uint64()


def check_column(file: DataFile, name: str, kind: str, *, named: str = "", wanted: str = "", fix: str) -> None:
    """Refuse a column that is missing or not of ``kind``. Raises InputError.

    Args:
        kind: image, text or ids.
        named: after a missing column's name, who names it: ", which pairs.yaml names".
        wanted: after a wrong type, who needs another: ", but the encoder reads texts".
        fix: what to do about a wrong type.
    """
    names = file.columns.names
    if name not in names:
        raise InputError(f"'{file.path}' has no column '{name}'{named}{nearest(name, names)}; columns: {shown(names)}")
    if names.count(name) > 1:
        raise InputError(f"'{file.path}' has {names.count(name)} columns named '{name}'; keep one")
    got = file.columns.field(name).type
    if not (holds_content(got, kind) if kind in CONTENT_TYPES else holds_ids(got)):
        allowed = CONTENT_TYPES.get(kind, "signed integers")
        raise InputError(f"'{file.path}', column '{name}' is {got}{wanted}; allowed: {allowed}; {fix}")


def read_ids(file: DataFile, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A whole column of ids [N] int64, 0 where it is null, and where it is [N] bool.

    Raises InputError where it cannot be read, or holds more ids than its file could.
    """
    refuse_many_values([file], int(file.group_rows.sum()), "rows", "write fewer rows, or fix the file")
    ids, null = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    for _, batch in read_batches(file, [column], READ_ROWS):
        array = batch.column(0).cast(pa.int64())
        ids.append(array.fill_null(0).to_numpy())
        null.append(array.is_null().to_numpy(zero_copy_only=False))
    return np.concatenate(ids), np.concatenate(null)


def contents(array: pa.Array) -> list[Any]:
    """Pictures as bytes, texts as strings, None where they are null; bytes where a text is no UTF-8."""
    if not (pt.is_string(array.type) or pt.is_large_string(array.type)):
        return array.to_pylist()
    binary = pa.large_binary() if pt.is_large_string(array.type) else pa.binary()
    return [as_content(value, "text") for value in array.cast(binary).to_pylist()]


def as_content(value: bytes | None, kind: str) -> str | bytes | None:
    """``value`` as its ``kind``, image or text, has it; bytes where a text is no UTF-8."""
    if value is None or kind == "image":
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
