"""Checks of a frozen store: checksums, rows of norm 1, ids in order; before it is used, and while it is.

Files are read block by block, not through the memory map.
"""

import contextlib
import datetime
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from embeddings.errors import InputError
from embeddings.files.folder_lock import folder_lock
from embeddings.files.json_file import write_json
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.store_files import COPY_OR_REBUILD, META, REBUILD, check_ids, read_meta
from embeddings.frozen.vector_store import VectorStore

TOLERANCE = 5e-3  # of a norm; float16 rounds one by up to 5e-4
BLOCK_BYTES = 4 << 20
SMALL_BYTES = 64 << 20  # a store that is read in a fraction of a second
SAMPLE = 1024  # rows


class RowCheck:
    """Collects rows whose norm is not 1, block by block.

    Args:
        path: of the store, named in errors.
        count: rows of the store.
    """

    def __init__(self, path: str, count: int) -> None:
        self._path, self._count = path, count
        self._read = self._wrong = 0
        self._first: tuple[int, float] | None = None  # id and norm

    def add(self, ids: np.ndarray, norms: np.ndarray) -> None:
        """Take the next rows' ids, int64 [n], and norms, float32 [n]: NaN or infinite where a number of the row is."""
        wrong = np.flatnonzero(~(np.abs(norms - 1) <= TOLERANCE))
        if wrong.size and self._first is None:
            self._first = int(ids[wrong[0]]), float(norms[wrong[0]])
        self._read, self._wrong = self._read + len(ids), self._wrong + wrong.size

    def refuse(self) -> None:
        """Raise InputError where a row was wrong."""
        if self._first is None:
            return
        name, norm = self._first
        what = "is zero" if norm == 0 else f"has norm {norm:.4g}" if math.isfinite(norm) else "is not finite"
        read = "" if self._read == self._count else f" looked at (of {self._count:,})"
        raise InputError(
            f"frozen store '{self._path}': the vector of id {name} {what}; {self._wrong:,} of {self._read:,} rows"
            f"{read} are wrong; allowed: rows of norm 1; leave items without a vector out and {REBUILD}"
        )


def _norms(block: dict[str, np.ndarray]) -> np.ndarray:
    """Norms of a block's rows, as kernels see these, float32 [n]."""
    with np.errstate(all="ignore"):
        wide = block["vectors.npy"].astype(np.float32)
        norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        return norms * block["scale.npy"] if "scale.npy" in block else norms


def verify(store: FrozenStore, advance: Callable[[int], None] = lambda count: None) -> None:
    """Read every byte: checksums, ids, the norm of each row. Memory is bounded.

    Args:
        advance: is told of bytes that were read.

    Raises InputError naming the file that differs, or else the first id whose vector has another norm than 1.
    """
    check_ids(store.stored["ids.npy"])
    rows = RowCheck(store.path, store.count)
    with contextlib.ExitStack() as stack:
        readers = {name: stack.enter_context(s.reader()) for name, s in store.stored.items()}
        for count in _blocks(store):
            block = {name: reader.next(count) for name, reader in readers.items()}
            rows.add(block["ids.npy"], _norms(block))
            advance(sum(values.nbytes for values in block.values()))
    for name, reader in readers.items():
        got, wanted = reader.digest.hexdigest(), store.meta.files[name].sha256
        if got != wanted:
            raise InputError(
                f"'{store.stored[name].file}' has SHA-256 {got}, but {META} says {wanted}: the file changed after it "
                f"was built; {COPY_OR_REBUILD}"
            )
    rows.refuse()


def _blocks(store: FrozenStore) -> Iterator[int]:
    """How many rows to read at once, time after time."""
    step = max(1, BLOCK_BYTES // store.vectors[:1].nbytes)
    for first in range(0, store.count, step):
        yield min(step, store.count - first)


def is_marked(store: FrozenStore) -> bool:
    """Whether the store says that all rows of its very content were checked."""
    return store.meta.rows_checked == store.checksum


def mark(store: FrozenStore) -> bool:
    """Write into a verified store that its rows were checked.

    False where its folder does not take that, or holds another store by now.
    """
    if "://" in store.path:
        return False
    try:
        with folder_lock(store.path, "frozen store", "verify it again then"):
            meta = read_meta(store.path)
            if meta.checksum != store.checksum:
                return False
            write_json(os.path.join(store.path, META), {**meta.model_dump(), "rows_checked": store.checksum}, indent=2)
    except (InputError, OSError):
        return False
    return True


class _OutOfTime(Exception):
    """A store takes longer to read than there is time."""


def check_before_use(store: FrozenStore, say: Callable[[str], None], limit_s: float) -> None:
    """Refuse a store whose rows would make a model's numbers wrong.

    A store of up to SMALL_BYTES is verified whole, and so is a larger one that has no mark of such a check, if that
    takes no longer than ``limit_s``: other ranks wait for this one. Else SAMPLE rows are read, at even distances: of a
    store with a mark its builder or ``store verify`` has read all.

    Args:
        say: is told before a large store is read whole, and where there was no time for that.
        limit_s: seconds for a large store.

    Raises InputError.
    """
    if store.nbytes <= SMALL_BYTES:
        verify(store)
        return
    if not is_marked(store):
        say(
            f"note: frozen store '{store.path}' does not say that its rows were checked; reading all "
            f"{store.nbytes / 2**30:.1f} GiB, as each start does until 'python -m train store verify {store.path}'"
        )
        until = time.monotonic() + limit_s

        def in_time(count: int) -> None:
            if time.monotonic() > until:
                raise _OutOfTime

        try:
            verify(store, in_time)
            return
        except _OutOfTime:
            say(f"note: that takes more than {limit_s:.0f} s; only {SAMPLE} rows of '{store.path}' are checked")
    sample = np.unique(np.linspace(0, store.count - 1, min(SAMPLE, store.count)).astype(np.int64))
    rows = RowCheck(store.path, store.count)
    with contextlib.ExitStack() as stack:
        readers = {name: stack.enter_context(s.reader()) for name, s in store.stored.items()}
        for row in sample.tolist():
            block = {name: reader.row(row) for name, reader in readers.items()}
            rows.add(block["ids.npy"], _norms(block))
    rows.refuse()


def refuse_changed(stores: Iterable[VectorStore]) -> None:
    """Refuse to go on where a frozen store's file was written to since it was mapped. Nothing is read where none was.

    A file that only got another time is read again, and is fine where its checksum is the same; so is one that was
    replaced by a rename, as ``store build --overwrite`` does: the map keeps the old one.

    Raises InputError.
    """
    for store in stores:
        if not isinstance(store, FrozenStore):
            continue
        for name, stored in store.stored.items():
            if not stored.changed():
                continue
            state = os.stat(stored.local)
            if state.st_size == stored.state.st_size and _digest(store, name) == store.meta.files[name].sha256:
                stored.state = state
                continue
            when = datetime.datetime.fromtimestamp(state.st_mtime).isoformat(" ", "seconds")
            raise InputError(
                f"'{stored.file}' was overwritten in place at {when} while this run was reading it, so that what was "
                f"computed since is of other vectors; put the store back, see that 'python -m train store verify "
                f"{store.path}' passes, then start again; a run goes on from its last checkpoint with run.resume=true"
            )


def _digest(store: FrozenStore, name: str) -> str:
    with store.stored[name].reader() as reader:
        for count in _blocks(store):
            reader.next(count)
        return reader.digest.hexdigest()
