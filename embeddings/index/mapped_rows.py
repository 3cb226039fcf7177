"""Mapped rows: the segments of a live index in one range of addresses, so that kernels see a single flat table."""

import ctypes
import mmap
import os
import weakref
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from embeddings.errors import InputError, one_line
from embeddings.index.index_files import FROM_SNAPSHOT
from embeddings.index.segments import SEGMENT_ROWS, SegmentFiles
from embeddings.kernels.native import name_mapping
from embeddings.launched_rank import rank_prefix

_ROOM_BYTES = 1 << 40  # of addresses, which cost nothing
_MAP_FIXED, _MAP_NORESERVE = 0x10, 0x4000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


class MappedRows:
    """A table of unchanging shape into which segments are mapped, in place, as an index gets them.

    vectors  [R, M]  float32, float16 or int8; R is room for segments that come later
    scale    [R]     float32, or None unless int8

    A segment lies in a slot of SEGMENT_ROWS rows; a slot is used again once its segment was let go. Slot 0 never is:
    row 0, and every row without a segment, reads as zeros.
    """

    def __init__(self, files: SegmentFiles, width: int, dtype: str) -> None:
        self._files = files
        bytes_of_segment = SEGMENT_ROWS * width * np.dtype(dtype).itemsize
        self._slots = max(2, _ROOM_BYTES // max(bytes_of_segment, SEGMENT_ROWS * 4))
        self._ranges = {"vectors": _Range(self._slots * bytes_of_segment, files.folder)}
        self.vectors = self._ranges["vectors"].array((self._slots * SEGMENT_ROWS, width), dtype)
        self.scale: np.ndarray | None = None
        if dtype == "int8":
            self._ranges["scale"] = _Range(self._slots * SEGMENT_ROWS * 4, files.folder)
            self.scale = self._ranges["scale"].array((self._slots * SEGMENT_ROWS,), "float32")
        self._slot_of: dict[int, int] = {}
        self._unused: list[int] = []  # slots that were let go
        self._next = 1
        self._leaving: list[tuple[int, int]] = []  # slot, and when its segment went out of use

    def follow(self, segments: Collection[int], now: int) -> None:
        """Map those of ``segments`` that are not yet; those that are not among them any more stay readable for a while.

        Args:
            now: a count that only grows; see ``let_go``.

        Raises FileNotFoundError where a segment was removed meanwhile: ask for the segments anew. InputError where a
        file is damaged, or no room is left.
        """
        for segment in sorted(set(segments) - self._slot_of.keys()):
            slot = self._unused.pop() if self._unused else self._next
            if slot >= self._slots:
                raise InputError(f"'{self._files.folder}': no addresses are left for segment {segment}; open it anew")
            try:
                for kind, part in self._ranges.items():
                    with self._files.opened(segment, kind) as source:
                        part.map(slot, source.fileno(), self._files.bytes_of(kind))
            except BaseException:
                self._unused.append(slot) if slot != self._next else None
                raise
            self._next += slot == self._next
            self._slot_of[segment] = slot
        for segment in self._slot_of.keys() - set(segments):
            self._leaving.append((self._slot_of.pop(segment), now))

    def let_go(self, before: int) -> None:
        """Give back the files of segments that went out of use before the count was ``before``."""
        while self._leaving and self._leaving[0][1] < before:
            slot, _ = self._leaving.pop(0)
            for kind, part in self._ranges.items():
                part.clear(slot, self._files.bytes_of(kind))
            self._unused.append(slot)

    def here(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the index as rows of ``vectors``; -1 stays.

        rows     [n]  int64, or -1
        returns  [n]  int64

        Raises InputError for rows of segments that are not mapped, which only damaged keys name.
        """
        known = rows >= 0
        segments = np.where(known, rows // SEGMENT_ROWS, min(self._slot_of, default=0))
        first = min(self._slot_of, default=0)
        slots = np.zeros(max(self._slot_of, default=0) - first + 1, np.int64)
        for segment, slot in self._slot_of.items():
            slots[segment - first] = slot
        inside = (segments >= first) & (segments < first + slots.size)
        slot = slots[np.where(inside, segments - first, 0)]
        if not (inside & (slot > 0) | ~known).all():
            raise InputError(f"'{self._files.folder}': the keys name rows that are not there; {FROM_SNAPSHOT}")
        return np.where(known, slot * SEGMENT_ROWS + rows % SEGMENT_ROWS, -1)


class _Range:
    """A range of addresses that reads as zeros where no file is mapped into it."""

    def __init__(self, size: int, folder: str) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._pages = mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ)
        self._address = np.frombuffer(self._pages, np.uint8).ctypes.data
        line = one_line(
            f"error: a segment in '{folder}' was cut short, or its disk failed, while this process had it mapped; see "
            "what 'python -m serve index verify' says of the index, then start again"
        )
        weakref.finalize(self, name_mapping(self._address, size, f"\n{rank_prefix()}{line}\n"))

    def array(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """All of it as an array."""
        return np.asarray(_AtAddress(self, self._address, shape, np.dtype(dtype)))

    def map(self, slot: int, file: int, size: int) -> None:
        """Map the open ``file`` of ``size`` bytes into ``slot``. Raises OSError."""
        self._map(slot, size, mmap.MAP_SHARED | _MAP_FIXED, file)

    def clear(self, slot: int, size: int) -> None:
        """Let ``slot`` read as zeros again."""
        self._map(slot, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE | _MAP_FIXED, -1)

    def _map(self, slot: int, size: int, flags: int, file: int) -> None:
        address = self._address + slot * size
        if _libc.mmap(address, size, mmap.PROT_READ, flags, file, 0) != address:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))


@dataclass(frozen=True)
class _AtAddress:
    """Memory, described to numpy. torch warns of what is read-only; nothing writes to a table, and pages refuse it."""

    owner: object  # kept as long as an array shows its memory
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def __array_interface__(self) -> dict[str, object]:
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.address, False), "version": 3}
