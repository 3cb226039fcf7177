"""Key-value store of a live index, in LMDB: opened once a process, its errors told as InputErrors, its views."""

import contextlib
import itertools
import os
import struct
import threading
from collections.abc import Iterator

import lmdb
import numpy as np

from embeddings.errors import InputError, first_line, listed, nearest, shown
from embeddings.files.json_file import parse_json
from embeddings.index import key_layout as layout
from embeddings.index.index_files import FROM_SNAPSHOT, KEYS, IndexMeta, read_meta
from embeddings.index.key_layout import CHANGE, ENTRY, EncoderMeta, State
from embeddings.index.segments import SEGMENT_ROWS
from embeddings.validation import validated

_LIBRARY = 0  # LMDB 0.9 and 1.0 do not read each other's files
_MAP_BYTES = 1 << 36  # of addresses, once and for all: some 500 million ids
_MOST_READERS = 1024
_PAGE, _MAGIC = 4096, (0xBEEFC0DE).to_bytes(4, "little")
_MOST_UNWRITTEN = 256 * _PAGE
_BLOCK = 1 << 14  # ids that are read at once


class KeyStore:
    """The keys of the index at ``path``; ``key_store`` makes one. Raises InputError."""

    def __init__(self, path: str) -> None:
        self.path, self.meta = path, read_meta(path)
        folder = os.path.join(path, KEYS)
        with self.errors():
            try:
                _check_size(os.path.join(folder, "data.mdb"))
                self.environment = open_environment(folder, create=False)
            except OSError as error:
                raise InputError(f"'{folder}' cannot be opened ({first_line(error)}); {FROM_SNAPSHOT}") from None
        with self.reading() as view:
            if view.get(layout.IDENTITY) != self.meta.identity.encode():
                raise InputError(f"'{folder}' is of another index than '{path}'; {FROM_SNAPSHOT}")

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """LMDB's errors, and values that cannot be read, as InputErrors."""
        try:
            yield
        except InputError:
            raise
        except (lmdb.Error, struct.error, ValueError) as error:
            raise InputError(
                f"live index '{self.path}': its keys cannot be used ({first_line(error)}); free space where the disk "
                f"is full, else {FROM_SNAPSHOT}"
            ) from None

    @contextlib.contextmanager
    def reading(self) -> Iterator["View"]:
        """A view of the last commit. Keep it short: pages that it may read are not used again meanwhile."""
        with self.errors(), self.environment.begin() as txn:
            yield View(self.path, txn)

    @contextlib.contextmanager
    def writing(self) -> Iterator["View"]:
        """A view that can be written to, and is committed where the block ends well. The index's writer alone."""
        with self.errors(), self.environment.begin(write=True) as txn:
            yield View(self.path, txn)


class View:
    """The keys of an index within one transaction, ``txn``."""

    def __init__(self, path: str, txn: "lmdb.Transaction") -> None:
        self._path, self.txn = path, txn

    def get(self, key: bytes) -> bytes | None:
        """A key's value."""
        value = self.txn.get(key)
        return None if value is None else bytes(value)

    def encoders(self) -> dict[int, EncoderMeta]:
        """Number -> what it is, of all encoders."""
        found, cursor = {}, self.txn.cursor()
        cursor.set_range(b"e")
        for key, value in ((bytes(key), bytes(value)) for key, value in cursor):
            if not key.startswith(b"e"):
                break
            where = f"live index '{self._path}': encoder"
            found[int.from_bytes(key[1:], "big")] = validated(EncoderMeta, parse_json(value, where), where)
        return found

    def active(self) -> int:
        """Number of the encoder that is read where none is named."""
        return int(self.get(layout.ACTIVE) or 0)

    def number_of(self, encoder: str | None) -> tuple[int, EncoderMeta]:
        """The encoder of that name; the active one for None. Raises InputError for an unknown one."""
        encoders, active = self.encoders(), self.active()
        for number, about in encoders.items():
            if about.encoder == encoder or (encoder is None and number == active):
                return number, about
        names = [about.encoder for about in encoders.values()]
        raise InputError(
            f"live index '{self._path}' has no vectors of encoder {shown(encoder)}{nearest(encoder or '', names)}; it "
            f"has those of {listed([shown(name) for name in names])}; vectors of two encoders do not mix: name one of "
            "these, or begin the new one's with 'python -m serve index create'"
        )

    def state(self, number: int) -> State | None:
        """None where the encoder was dropped."""
        raw = self.get(layout.prefix(b"s", number))
        return None if raw is None else State.unpacked(raw)

    def all_entries(self, number: int, state: State) -> tuple[np.ndarray, np.ndarray]:
        """All ids, int64 [N] ascending, and their entries, ENTRY [N]. Raises ValueError."""
        cursor, count = self.txn.cursor(), state.items
        cursor.set_range(layout.prefix(b"i", number))
        start, parts, left = layout.prefix(b"i", number), [], count
        items = cursor.iternext()
        while left:  # block by block: Python's objects take ten times the room
            block = [bytes(part) for item in itertools.islice(items, min(left, _BLOCK)) for part in item]
            if not block or not (block[0].startswith(start) and block[-2].startswith(start)):
                raise ValueError(f"fewer than {count} ids are there")
            parts.append(b"".join(block))
            left -= len(block) // 2
        ids, entries = layout.read_items(b"".join(parts))
        segments = entries["row"] // SEGMENT_ROWS
        if not np.isin(segments, state.segments).all():
            raise ValueError("an id has a row that was never written")
        return ids, entries

    def entries(self, number: int, ids: np.ndarray) -> np.ndarray:
        """The entry of each id, ENTRY [n]; row -1 where it has none."""
        absent = np.array([(-1, 0, 0)], ENTRY).tobytes()
        values = [self.txn.get(key, absent) for key in layout.id_keys(number, ids)]
        return np.frombuffer(b"".join(values), ENTRY)

    def changes_after(self, number: int, state: State, sequence: int) -> np.ndarray | None:
        """What the commits after ``sequence`` changed, CHANGE [n]; None where the log does not go back so far."""
        cursor, commits = self.txn.cursor(), state.sequence - sequence
        if commits < 0 or not cursor.set_key(layout.log_key(number, sequence + 1)):
            return None
        return np.frombuffer(b"".join(list(itertools.islice(cursor.iternext(keys=False), commits))), CHANGE)


def open_environment(folder: str, create: bool) -> "lmdb.Environment":
    """The LMDB environment in ``folder``. Raises lmdb.Error, OSError."""
    return lmdb.open(
        folder,
        map_size=_MAP_BYTES,
        max_readers=_MOST_READERS,
        create=create,
        readahead=False,
        lib_version=_LIBRARY,
    )


def create_keys(folder: str, meta: IndexMeta) -> None:
    """Make the keys of a new index, without encoders, in ``folder``. Raises lmdb.Error, OSError."""
    os.makedirs(folder)
    with open_environment(folder, create=True) as environment, environment.begin(write=True) as txn:
        txn.put(layout.IDENTITY, meta.identity.encode())


def _check_size(file: str) -> None:
    """Refuse a file that was cut short, which LMDB would map and die of. Raises InputError, OSError."""
    with open(file, "rb") as source:
        head = source.read(2 * _PAGE)
        size = os.fstat(source.fileno()).st_size
    # LMDB 0.9 has two meta pages and reads the one of the later commit: 136 bytes into each is its last page, behind
    # that the commit
    metas = [struct.unpack_from("<2Q", head, at + 136) for at in (0, _PAGE) if len(head) >= at + 152]
    if len(metas) == 2 and head[16:20] != _MAGIC:
        return  # LMDB says what it thinks of that
    missing = (max(metas, key=lambda meta: meta[1])[0] + 1) * _PAGE - size if len(metas) == 2 else size + 2 * _PAGE
    if missing > _MOST_UNWRITTEN or len(metas) < 2:
        raise InputError(f"'{file}' has {size:,} bytes, fewer than it says: it was cut short; {FROM_SNAPSHOT}")
    if missing > 0:  # its last pages were taken and given back within one commit, and never written
        with contextlib.suppress(OSError), open(file, "rb+") as growing:
            os.posix_fallocate(growing.fileno(), size, missing)


_open: dict[str, tuple[KeyStore, int]] = {}  # folder -> store, users
_opening = threading.RLock()  # a collected reader lets go in the middle of anything


@contextlib.contextmanager
def key_store(path: str) -> Iterator[KeyStore]:
    """The keys of the index at ``path``: one object a process and folder, as LMDB wants it. Raises InputError."""
    place = os.path.realpath(path)
    with _opening:
        store, users = _open.get(place) or (KeyStore(path), 0)
        _open[place] = (store, users + 1)
    try:
        yield store
    finally:
        with _opening:
            store, users = _open[place]
            if users > 1:
                _open[place] = (store, users - 1)
            else:
                del _open[place]
                store.environment.close()
