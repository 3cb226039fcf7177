"""Content columns: which Arrow types hold pictures and texts of items, and ids; checks columns and reads ids."""

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from embeddings.errors import InputError, first_line, nearest
from train.data.parquet_files import DataFile

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
        raise InputError(f"'{file.path}' has no column '{name}'{named}{nearest(name, names)}; columns: {names}")
    got = file.columns.field(name).type
    if not (holds_content(got, kind) if kind in CONTENT_TYPES else holds_ids(got)):
        allowed = CONTENT_TYPES.get(kind, "signed integers")
        raise InputError(f"'{file.path}', column '{name}' is {got}{wanted}; allowed: {allowed}; {fix}")


def read_ids(file: DataFile, column: str) -> pa.ChunkedArray:
    """A whole column of ids as int64, nulls where the file has them. Raises InputError where it cannot be read."""
    try:
        return pq.read_table(file.path, columns=[column])[column].cast(pa.int64())
    except (pa.ArrowException, OSError) as error:
        reason = first_line(error)
        raise InputError(
            f"'{file.path}', column '{column}' cannot be read ({reason}); write or copy it again"
        ) from error
