"""Segment files of a live index: SEGMENT_ROWS rows each, as large from the beginning as they will be, written once."""

import os
import shutil
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from embeddings.errors import InputError
from embeddings.files.atomic_file import sync_path
from embeddings.index.index_files import FROM_SNAPSHOT

SEGMENT_ROWS = 1 << 16  # of which any row's bytes make whole pages


class SegmentFiles:
    """The segments of one encoder's vectors, in a folder of their own. Row r is in segment r // SEGMENT_ROWS.

    NNNNNNNN.vectors  [SEGMENT_ROWS, M]  the store's dtype, little-endian, no header
    NNNNNNNN.scale    [SEGMENT_ROWS]     float32, int8 only

    A file is sparse: what is not yet written takes no disk.
    """

    def __init__(self, folder: str, width: int, dtype: str) -> None:
        self.folder = folder
        self.kinds = ("vectors", "scale") if dtype == "int8" else ("vectors",)
        self._row_bytes = {"vectors": width * np.dtype(dtype).itemsize, **({"scale": 4} if dtype == "int8" else {})}

    def bytes_of(self, kind: str) -> int:
        """Bytes of a segment's file, "vectors" or "scale"."""
        return SEGMENT_ROWS * self._row_bytes[kind]

    def opened(self, segment: int, kind: str) -> BinaryIO:
        """A segment's file, to be read. Raises FileNotFoundError, and InputError where it has another size."""
        source = open(self._path(segment, kind), "rb", buffering=0)
        size = os.fstat(source.fileno()).st_size
        if size != self.bytes_of(kind):
            source.close()
            raise InputError(
                f"'{self._path(segment, kind)}' has {size} bytes, not {self.bytes_of(kind)}: it is damaged; "
                f"{FROM_SNAPSHOT}"
            )
        return source

    def read(self, rows: np.ndarray, kind: str) -> np.ndarray:
        """The bytes of ``rows``, int64 [n], in any order: uint8 [n, bytes of a row]. Raises OSError, InputError."""
        size = self._row_bytes[kind]
        out = np.empty((rows.size, size), np.uint8)
        for segment in np.unique(rows // SEGMENT_ROWS).tolist():
            with self.opened(segment, kind) as source:
                mapped = np.memmap(source, np.uint8, "r", 0, (SEGMENT_ROWS, size))
                inside = np.flatnonzero(rows // SEGMENT_ROWS == segment)
                out[inside] = mapped[rows[inside] % SEGMENT_ROWS]
        return out

    def write(self, first: int, rows: dict[str, np.ndarray]) -> list[int]:
        """Write rows ``first`` and following, and sync them. Returns their segments. Raises OSError.

        Args:
            rows: "vectors", and "scale" of int8, each uint8 [n, bytes of a row].
        """
        os.makedirs(self.folder, exist_ok=True)
        last = first + len(rows["vectors"])
        segments = list(range(first // SEGMENT_ROWS, (last - 1) // SEGMENT_ROWS + 1))
        for kind, values in rows.items():
            for segment in segments:
                start = max(first, segment * SEGMENT_ROWS)
                stop = min(last, (segment + 1) * SEGMENT_ROWS)
                self._write(segment, kind, start % SEGMENT_ROWS, values[start - first : stop - first])
        return segments

    def _write(self, segment: int, kind: str, place: int, rows: np.ndarray) -> None:
        path = self._path(segment, kind)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if os.fstat(file).st_size != self.bytes_of(kind):
                os.ftruncate(file, self.bytes_of(kind))
                sync_path(self.folder)
            left, at = memoryview(np.ascontiguousarray(rows).data).cast("B"), place * self._row_bytes[kind]
            while left:
                done = os.pwrite(file, left, at)
                left, at = left[done:], at + done
            os.fdatasync(file)
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(file)

    def keep(self, segments: Iterable[int]) -> None:
        """Remove the files of all other segments, which nothing refers to; who maps one keeps it. Raises OSError."""
        kept = {os.path.basename(self._path(segment, kind)) for segment in segments for kind in self._row_bytes}
        for name in os.listdir(self.folder) if os.path.isdir(self.folder) else ():
            if name not in kept:
                os.unlink(os.path.join(self.folder, name))

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, segment: int, kind: str) -> str:
        return os.path.join(self.folder, f"{segment:08d}.{kind}")
