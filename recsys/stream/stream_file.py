"""One numbered file of a stream: its name, what its footer says of it, and the check of its bytes against that."""

import os
import re
import zlib
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from embeddings.errors import InputError, first_line
from embeddings.files.json_file import parse_json, read_json
from embeddings.files.parquet_footer import DataFile, read_footer
from embeddings.validation import Count, Strict, validated

MARK = b"tierwise.stream"  # key of the mark among the footer's key-value metadata
END = "end.json"
MOST_ROWS = 1 << 22  # of a file: all of them are in memory at once
NAME = re.compile(r"([0-9]{12,18})\.parquet")
WRITE_AGAIN = "write it again under the same number"
_TAIL = 8  # bytes at a parquet file's end: the footer's length, and four letters
_CHUNK = 4 << 20
_MOST_MARK, _MOST_END = 4096, 4096  # bytes


class StreamMark(Strict):
    """What a file's footer says of it.

    number  its place in the stream, as in its name
    rows    of the file
    first, last  seconds since 1970: the event times of its rows lie between; None where they have none
    bytes, crc32  of all that is before the footer
    """

    format: Literal[1] = 1
    number: Count
    rows: Count
    first: float | None = None
    last: float | None = None
    bytes: Count
    crc32: int = Field(ge=0, lt=1 << 32)

    @model_validator(mode="after")
    def _in_order(self) -> "StreamMark":
        if (self.first is None) != (self.last is None) or (self.first or 0.0) > (self.last or 0.0):
            raise ValueError(f"event times go from {self.first} to {self.last}")
        return self


class _End(Strict):
    """end.json."""

    last: Count


def file_name(number: int) -> str:
    """The name of file ``number``."""
    return f"{number:012d}.parquet"


def number_of(name: str) -> int | None:
    """The number that a file's name says; None where it is no name of a stream's file."""
    match = NAME.fullmatch(name)
    return int(match[1]) if match and name == file_name(int(match[1])) else None


def read_stream_file(path: str | Path) -> tuple[DataFile, StreamMark]:
    """The footer of a stream's file, whose bytes are found to be those that were written, and its mark.

    Raises InputError where it is damaged, or no file of a stream; FileNotFoundError.
    """
    path = os.fspath(path)
    os.stat(path)
    file = read_footer(path)
    raw = (file.footer.metadata or {}).get(MARK)
    if raw is None or len(raw) > _MOST_MARK:
        raise InputError(f"'{path}' has no {MARK.decode()} in its footer: it is no file of a stream; {WRITE_AGAIN}")
    where = f"{MARK.decode()} of '{path}'"
    mark = validated(StreamMark, parse_json(raw, where), where)
    wrong = _what_is_wrong(path, file, mark)
    if wrong:
        raise InputError(f"'{path}' is damaged: {wrong}; {WRITE_AGAIN}")
    if mark.rows > MOST_ROWS:
        raise InputError(f"'{path}' has {mark.rows:,} rows; allowed: {MOST_ROWS:,}; write smaller files")
    return file, mark


def _what_is_wrong(path: str, file: DataFile, mark: StreamMark) -> str | None:
    if (number := number_of(file.name)) != mark.number:
        return f"its footer says number {mark.number}, its name {number}"
    if (rows := int(file.group_rows.sum())) != mark.rows:
        return f"it has {rows} rows, and {mark.rows} were written"
    try:
        with open(path, "rb", buffering=0) as source:
            source.seek(-_TAIL, os.SEEK_END)
            before = file.size_bytes - _TAIL - int.from_bytes(source.read(4), "little")
            if before != mark.bytes:
                return f"{before} bytes are before its footer, and {mark.bytes} were written"
            source.seek(0)
            left, crc = mark.bytes, 0
            while left and (chunk := source.read(min(left, _CHUNK))):
                left, crc = left - len(chunk), zlib.crc32(chunk, crc)
    except OSError as error:
        return first_line(error)
    return None if not left and crc == mark.crc32 else "its bytes are not those that were written (CRC-32)"


def last_number(folder: str | Path) -> int | None:
    """The number of the last file, once the stream has an end; None before. Raises InputError, OSError."""
    path = Path(folder) / END
    try:
        return validated(_End, read_json(path, "file", _MOST_END), f"'{path}'").last
    except FileNotFoundError:
        return None
