"""The writer of a live index, one at a time: puts, deletes, compacts; an acknowledged change outlives kill -9.

A commit is in this order: the vectors' bytes and their fsync, the keys' commit, which LMDB syncs, the acknowledgement.
Rows are written once, behind all others: nothing that a reader may look at ever changes.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence

import numpy as np

from embeddings.errors import InputError
from embeddings.files.folder_lock import folder_lock
from embeddings.frozen.store import FrozenStore
from embeddings.index.changes import Change, stored_to_put, vectors_to_put
from embeddings.index.check_keys import check_small_keys
from embeddings.index.commit import commit
from embeddings.index.compaction import give_up, moved, sparse_segments
from embeddings.index.encoders import add_encoder, drop_encoder
from embeddings.index.group_commit import GroupCommit
from embeddings.index.index_files import read_meta, segments_folder
from embeddings.index.key_layout import ACTIVE, EncoderMeta, encoder_meta
from embeddings.index.key_store import key_store
from embeddings.index.segments import SegmentFiles

MOVED_AT_ONCE = 4096  # rows that compaction moves in one commit
PUT_AT_ONCE = 1 << 14  # rows of a store
_writing: set[str] = set()
_beginning = threading.Lock()


class IndexWriter:
    """The only writer to the index at ``path`` while it is open. Threads may share it.

    Changes of several threads that come together are committed together.

    Raises InputError where somebody else writes to the index, and where there is none.
    """

    def __init__(self, path: str) -> None:
        self.path = os.fspath(path)
        self._files: dict[int, SegmentFiles] = {}
        with contextlib.ExitStack() as closing:
            closing.enter_context(_alone(self.path))
            check_small_keys(self.path)
            self._keys = closing.enter_context(key_store(self.path))
            with self._keys.errors():
                self._keys.environment.reader_check()  # of readers that were killed
            with self._keys.writing() as view:  # which mends what a killed writer left, before anybody reads
                self._encoders = view.encoders()
                states = {number: view.state(number) for number in self._encoders}
            for number, state in states.items():  # without what a killed writer had begun, or given up
                self._segment_files(number).keep(state.segments if state else ())
            self._closing = closing.pop_all()
        self._commits = GroupCommit(self._commit)

    def put(self, ids: np.ndarray, vectors: np.ndarray, encoder: str | None = None) -> int:
        """Put a vector under each id, in place of the one that it has; returns once they are on disk.

            ids      [n]     integers that fit int64; where one repeats, its last vector counts
            vectors  [n, M]  float16, float32, float64 or int8; need not be normalised

        Args:
            encoder: that made them; None for the active one.

        Returns the commit's sequence number. Raises InputError, and nothing is put, for wrong shapes, another width, an
        encoder that the index does not have, a row that is zero or not finite, and a disk that takes no more.
        """
        number, about = self._encoder(encoder)
        return self._commits.committed(
            vectors_to_put(self.path, number, about, np.asarray(ids), np.asarray(vectors))
        ).sequence

    def put_store(self, store: FrozenStore, encoder: str) -> int:
        """``put`` all of a frozen store, as vectors of ``encoder``; of one dtype with the index, bit for bit.

        Returns the sequence number of the last commit. Raises InputError as ``put`` does.
        """
        number, about = self._encoder(encoder)
        sequence = 0
        for first in range(0, store.count, PUT_AT_ONCE):
            part = slice(first, first + PUT_AT_ONCE)
            if store.dtype != about.dtype:
                sequence = self.put(store.ids[part], store.vectors[part], encoder)
                continue
            scale = None if store.scale is None else store.scale[part]
            change = stored_to_put(self.path, number, about, store.ids[part], store.vectors[part], scale)
            sequence = self._commits.committed(change).sequence
        return sequence

    def delete(self, ids: np.ndarray, encoder: str | None = None) -> int:
        """Delete the vectors of ``ids``, int64 [n]; returns how many were there, once that is on disk.

        Raises InputError.
        """
        number, _ = self._encoder(encoder)
        ids = np.unique(np.asarray(ids))
        if ids.dtype != np.int64 or not ids.size:
            raise InputError(f"ids are {ids.dtype} {list(ids.shape)}; allowed: int64 [n], n at least 1")
        return self._commits.committed(Change(number, ids)).found

    def add_encoder(self, encoder: str, width: int, dtype: str) -> None:
        """Begin the vectors of another encoder, beside those that are there. ``activate`` has readers take them.

        Raises InputError where the index has that encoder.
        """
        about = encoder_meta(encoder, width, dtype)
        with self._commits.lock:
            if any(known.encoder == encoder for known in self._encoders.values()):
                raise InputError(f"live index '{self.path}' has vectors of encoder '{encoder}' already; put to them")
            self._encoders = {**self._encoders, add_encoder(self._keys, about): about}

    def activate(self, encoder: str) -> None:
        """Have those who open the index from now on, and name no encoder, read the vectors of ``encoder``."""
        number, _ = self._encoder(encoder)
        with self._commits.lock, self._keys.writing() as view:
            view.txn.put(ACTIVE, b"%d" % number)

    def drop(self, encoder: str) -> None:
        """Give up the vectors of an encoder that is not active. Raises InputError."""
        number, _ = self._encoder(encoder)
        with self._commits.lock:
            drop_encoder(self._keys, number, encoder)
            self._segment_files(number).remove()
            self._encoders = {known: about for known, about in self._encoders.items() if known != number}

    def compact(self, encoder: str | None = None, dead_share: float = 0.0) -> int:
        """Move what lives in segments more than ``dead_share`` of which is dead, and remove these; returns how many.

        Readers go on, and puts between its commits. Raises InputError where a row is damaged, or the disk is full.
        """
        number, _ = self._encoder(encoder)
        files = self._segment_files(number)
        with self._commits.lock:
            given_up, ids, rows = sparse_segments(self._keys, number, dead_share)
        for first in range(0, ids.size, MOVED_AT_ONCE):
            part = slice(first, first + MOVED_AT_ONCE)
            change = moved(self._keys, files, number, ids[part], rows[part])
            if change.ids.size:
                self._commits.committed(change)
        with self._commits.lock:
            give_up(self._keys, files, number, given_up)
        return len(given_up)

    def _commit(self, number: int, changes: Sequence[Change]) -> None:
        commit(self._keys, self._segment_files(number), number, changes)

    def _encoder(self, encoder: str | None) -> tuple[int, EncoderMeta]:
        with self._keys.reading() as view:
            return view.number_of(encoder)

    def _segment_files(self, number: int) -> SegmentFiles:
        if number not in self._files:
            about = self._encoders[number]
            self._files[number] = SegmentFiles(segments_folder(self.path, number), about.width, about.dtype)
        return self._files[number]

    def close(self) -> None:
        """Let others write."""
        self._closing.close()

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """No other process, and nobody else in this one, writes to the index while inside. Raises InputError."""
    place = os.path.realpath(path)
    with _beginning:
        if place in _writing:
            raise InputError(f"live index '{path}' is being written by this process; wait until that ends")
        _writing.add(place)
    try:
        step = "have that process write it"
        with folder_lock(path, "live index", step, check=lambda: _check(path), inside=True):
            yield
    finally:
        _writing.discard(place)


def _check(path: str) -> None:
    read_meta(path)
