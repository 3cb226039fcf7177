"""Content columns: which Arrow types hold pictures and texts of items, and ids."""

import pyarrow as pa
import pyarrow.types as pt

CONTENT_TYPES = {"image": "binary, the bytes of a JPEG or PNG file", "text": "strings"}  # kind -> what is allowed


def holds_content(got: pa.DataType, kind: str) -> bool:
    """Whether a column of type ``got`` can hold content of ``kind``, image or text."""
    if kind == "image":
        return pt.is_binary(got) or pt.is_large_binary(got)
    return pt.is_string(got) or pt.is_large_string(got)


def holds_ids(got: pa.DataType) -> bool:
    """Whether a column of type ``got`` holds ids: signed integers, and unsigned ones that int64 has room for."""
    return pt.is_integer(got) and got != pa.uint64()
