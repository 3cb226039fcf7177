"""Stream writer: rows become the next numbered file of a stream, whole under its name or not there at all."""

import io
import zlib
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from embeddings.errors import InputError, shown
from embeddings.files.atomic_file import atomic_write, sync_path
from embeddings.files.json_file import write_json
from recsys.stream.stream_file import END, MARK, MOST_ROWS, StreamMark, file_name, number_of

ROW_GROUP_ROWS = 1 << 14


class StreamWriter:
    """Writes a stream's files. One process at a time writes a stream.

    Args:
        folder: of the stream; made where it is not there.
        timestamp: column of seconds since 1970 that tells the rows' event times; None: ``write`` is told.
        first: number of the first file of a stream that has none yet.
    """

    def __init__(self, folder: str | Path, *, timestamp: str | None = None, first: int = 1) -> None:
        self.folder, self._timestamp = Path(folder), timestamp
        self.folder.mkdir(parents=True, exist_ok=True)
        there = (number_of(path.name) for path in self.folder.iterdir())
        self.next_number = max((number + 1 for number in there if number is not None), default=first)

    def write(self, rows: pa.Table, event_times: tuple[float, float] | None = None) -> Path:
        """Write ``rows`` as the next file, which is on disk when this returns. A file may have none.

        Args:
            event_times: first and last, seconds since 1970; None: those of the column ``timestamp``.

        Raises InputError for more rows than a file may have; OSError, and then the number is not used.
        """
        if rows.num_rows > MOST_ROWS:
            raise InputError(f"{shown(rows.num_rows)} rows for one file; allowed: {MOST_ROWS:,}; write several")
        if event_times is None and self._timestamp is not None and rows.num_rows:
            bounds = pc.min_max(rows[self._timestamp]).as_py()
            event_times = (float(bounds["min"]), float(bounds["max"]))
        path = self.folder / file_name(self.next_number)
        with atomic_write(path) as out:
            _write(out, rows, self.next_number, event_times)
        sync_path(self.folder)
        self.next_number += 1
        return path

    def end(self) -> None:
        """Say that there is no file after those that there are. Raises OSError."""
        write_json(self.folder / END, {"last": self.next_number - 1})
        sync_path(self.folder)


class _Summed(io.RawIOBase):
    """Passes bytes on to a file, and sums them up."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self.crc32, self.bytes = out, 0, 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        written = bytes(data)  # type: ignore[call-overload]  # a buffer of pyarrow's
        self.crc32, self.bytes = zlib.crc32(written, self.crc32), self.bytes + len(written)
        return self._out.write(written)


def _write(out: BinaryIO, rows: pa.Table, number: int, event_times: tuple[float, float] | None) -> None:
    summed = _Summed(out)
    first, last = event_times or (None, None)
    with pq.ParquetWriter(pa.PythonFile(summed, mode="w"), rows.schema, write_page_checksum=True) as writer:
        writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)  # whose pages are written when it returns
        facts = {"number": number, "rows": rows.num_rows, "first": first, "last": last}
        mark = StreamMark.model_validate({**facts, "bytes": summed.bytes, "crc32": summed.crc32})
        writer.add_key_value_metadata({MARK: mark.model_dump_json().encode()})
