"""The live index as its readers see it: item id -> unit vector, mapped in place, of the last commit at each look-up.

Takes a frozen store's place: the same ``rows``, ``vectors``, ``scale``, ``encoder``, ``checksum`` and sizes.
"""

import contextlib
import os
import sys
import threading

import numpy as np

from embeddings.errors import InputError
from embeddings.index.index_files import content_name, segments_folder
from embeddings.index.key_layout import State
from embeddings.index.key_store import key_store
from embeddings.index.mapped_rows import MappedRows
from embeddings.index.row_hash import RowHash
from embeddings.index.segments import SegmentFiles

KEPT_LOOKUPS = 10_000  # after which rows that were looked up before may be gone
_TRIES = 100  # to map segments that compaction removes meanwhile


class LiveIndex:
    """A live index, opened for reading, of one encoder's vectors.

    vectors  [R, M]  float32, float16 or int8; rows that no look-up gave are not to be read, and R has no meaning
    scale    [R]     float32, or None unless int8

    A row that ``rows`` gave keeps its vector for the next KEPT_LOOKUPS look-ups of this object, whatever is put,
    deleted or compacted meanwhile. Threads may share it, forks may not.
    """

    live = True

    def __init__(self, path: str, encoder: str | None = None) -> None:
        """Open the vectors of ``encoder``, or of the active one. Raises InputError."""
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        self._closing = contextlib.ExitStack()
        self._keys = self._closing.enter_context(key_store(self.path))
        self._process = os.getpid()
        with self._keys.reading() as view:
            self._number, about = view.number_of(encoder)
        self.encoder, self.width, self.dtype = about.encoder, about.width, about.dtype
        self.checksum = content_name(self._keys.meta.identity, self.encoder)
        files = SegmentFiles(segments_folder(self.path, self._number), self.width, self.dtype)
        self._mapped = MappedRows(files, self.width, self.dtype)
        self.vectors, self.scale = self._mapped.vectors, self._mapped.scale
        self._ids, self._state, self._lookups, self._dropped = RowHash(), State(0, 0, 0, 0, ()), 0, False
        self._take(whole=True)

    @property
    def count(self) -> int:
        """Ids that have a vector, as of the last look-up."""
        return self._state.items

    @property
    def sequence(self) -> int:
        """Commits to these vectors so far, as of the last look-up: names what a score was computed from."""
        return self._state.sequence

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors and scales that can be looked up."""
        row = self.vectors[:1].nbytes + (0 if self.scale is None else self.scale[:1].nbytes)
        return self.count * row

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Row of each raw id as of now, -1 for an id that the index does not hold.

        ids      [...]  int64, any value
        returns  [...]  int64

        Raises InputError where the keys or a segment are damaged.
        """
        self.refresh()
        return self._ids.find(ids)

    def refresh(self) -> None:
        """Take over what was committed since. Raises InputError."""
        assert self._process == os.getpid(), "a fork cannot use its parent's keys; open the index in the child"
        with self._lock:
            self._lookups += 1
            self._mapped.let_go(self._lookups - KEPT_LOOKUPS)
            if not self._dropped:
                self._take(whole=False)

    def _take(self, whole: bool) -> None:
        """Follow the log from where this reader stands, or read all ids where ``whole``, or the log is too short."""
        for attempt in range(_TRIES):
            with self._keys.reading() as view:
                state = view.state(self._number)
                if state is None:
                    self._dropped = True
                    print(
                        f"note: live index '{self.path}': the vectors of encoder '{self.encoder}' were dropped; this "
                        "process goes on with those that it has",
                        file=sys.stderr,
                        flush=True,
                    )
                    return
                if state.sequence == self._state.sequence and not whole:
                    return
                log = None if whole else view.changes_after(self._number, state, self._state.sequence)
                if log is None:
                    ids, entries = view.all_entries(self._number, state)
                    rows = entries["row"].astype(np.int64)
                else:
                    ids, rows = _newest(log)
            try:
                self._mapped.follow(state.segments, self._lookups)
            except FileNotFoundError as error:
                if attempt == _TRIES - 1:
                    raise InputError(f"live index '{self.path}': '{error.filename}' is missing") from None
                continue
            found = RowHash(ids.size) if log is None else self._ids
            found.put(ids, self._mapped.here(rows))
            self._ids, self._state = found, state
            return

    def all_rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All ids as of now, int64 [N] ascending, the row of each, int64 [N], and its CRC-32, uint32 [N].

        Raises InputError.
        """
        for _ in range(_TRIES):
            self.refresh()
            with self._lock, self._keys.reading() as view:
                state = view.state(self._number)
                if state is None:
                    raise InputError(f"live index '{self.path}': the vectors of encoder '{self.encoder}' were dropped")
                if state.sequence == self._state.sequence:  # else there was a commit between the two
                    ids, entries = view.all_entries(self._number, state)
                    return ids, self._mapped.here(entries["row"].astype(np.int64)), entries["crc"].astype(np.uint32)
        raise InputError(f"live index '{self.path}' changes too quickly to be read as a whole; try again")

    def close(self) -> None:
        """Let go of the keys. Vectors stay mapped while somebody holds them."""
        self._closing.close()

    def __enter__(self) -> "LiveIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _newest(changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last change of each id: ids, int64 [n], and rows, int64 [n]. Earlier ones may be of segments long gone."""
    ids, last = np.unique(changes["id"][::-1], return_index=True)
    return ids, changes["row"][::-1][last].astype(np.int64)
