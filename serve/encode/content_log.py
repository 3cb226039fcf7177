"""Content log: the newest content of each item, on disk in the order that it came; encoders read it from a position on.

An append is on disk before it returns. Content stays until newer content of its item comes, so that an encoder that
comes later can encode all items from the beginning.
"""

import contextlib
import itertools
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lmdb

from embeddings.errors import InputError, first_line, shown
from embeddings.files.json_file import parse_json
from embeddings.validation import Strict, validated

Kind = Literal["image", "text"]
_LIBRARY = 0  # LMDB 0.9, as the index's keys
_MAP_BYTES = 1 << 40  # of addresses, once and for all; the file grows with what it holds
_ID, _REVISION = struct.Struct(">q"), struct.Struct(">Q")
_HEAD = struct.Struct("<qBI")  # id, whether it is deleted, CRC-32 of id and content


class NotStored(InputError):
    """The log cannot be written now; what was to be appended is not in it."""


@dataclass(frozen=True)
class Change:
    """New content of an item; None deletes it."""

    item: int
    content: bytes | None


@dataclass(frozen=True)
class Entry:
    """A change that is in the log. ``damaged`` content is not what was appended."""

    revision: int
    item: int
    content: bytes | None
    damaged: bool = False


class Dead(Strict):
    """Why the newest content of an item has no vector."""

    revision: int
    encoder: str
    reason: str


class ContentLog:
    """The log in ``folder``, made where it is not there. One process at a time; threads may share it.

    Raises InputError where it holds content of another kind, or cannot be opened.
    """

    def __init__(self, folder: str, kind: Kind) -> None:
        self.folder = folder
        try:
            os.makedirs(folder, exist_ok=True)
            self._environment = lmdb.open(folder, map_size=_MAP_BYTES, max_dbs=5, readahead=False, lib_version=_LIBRARY)
            about, self._log, self._revisions, self._positions, self._dead = (
                self._environment.open_db(name) for name in (b"about", b"log", b"revisions", b"positions", b"dead")
            )
            with self._environment.begin(write=True, db=about) as txn:
                got = bytes(txn.get(b"kind", kind.encode()))
                txn.put(b"kind", got)
        except (lmdb.Error, OSError) as error:
            raise InputError(f"content log '{folder}' cannot be opened ({first_line(error)}); check the path") from None
        if got != kind.encode():
            self._environment.close()
            raise InputError(f"content log '{folder}' is of kind {shown(got.decode())}, not {kind}; name another")
        self._grown = threading.Condition()
        with self._environment.begin() as txn:
            self._head = _last(txn, self._log)

    @property
    def head(self) -> int:
        """Revision of the newest entry; 0 where there is none."""
        return self._head

    @property
    def entries(self) -> int:
        """How many there are: items, and deleted ones."""
        with self._environment.begin() as txn:
            return int(txn.stat(self._log)["entries"])

    def append(self, changes: Sequence[Change]) -> list[int]:
        """Append ``changes`` in their order, all or none, on disk once it returns. Returns the revision of each.

        Raises NotStored.
        """
        try:
            with self._environment.begin(write=True) as txn:
                head = _last(txn, self._log)
                for revision, change in enumerate(changes, head + 1):
                    key, item = _REVISION.pack(revision), _ID.pack(change.item)
                    if (before := txn.get(item, db=self._revisions)) is not None:
                        txn.delete(bytes(before), db=self._log)
                    txn.put(key, _packed(change), db=self._log, append=True)
                    txn.put(item, key, db=self._revisions)
                    txn.delete(item, db=self._dead)
        except lmdb.Error as error:
            raise NotStored(
                f"content log '{self.folder}' cannot be written ({first_line(error)}); nothing of this was taken: free "
                "space, then send it again"
            ) from None
        with self._grown:
            self._head = head + len(changes)
            self._grown.notify_all()
        return list(range(head + 1, head + 1 + len(changes)))

    def wait(self, position: int, timeout_s: float) -> None:
        """Wait until there is an entry after ``position``, or until somebody wakes all."""
        with self._grown:
            if self._head <= position:
                self._grown.wait(timeout_s)

    def wake(self) -> None:
        """End every ``wait``."""
        with self._grown:
            self._grown.notify_all()

    def read(self, position: int, most: int, most_bytes: int) -> list[Entry]:
        """The first entries after ``position``, at most ``most``, and of ``most_bytes`` unless the first has more."""
        with self._environment.begin(db=self._log) as txn:
            return list(itertools.islice(_bounded(_after(txn, position), most_bytes), most))

    def content(self, item: int) -> Entry | None:
        """The newest entry of ``item``; None where it never had one."""
        with self._environment.begin() as txn:
            key = txn.get(_ID.pack(item), db=self._revisions)
            value = None if key is None else txn.get(bytes(key), db=self._log)
            return None if key is None or value is None else _entry(bytes(key), bytes(value))

    def position(self, follower: str) -> int:
        """The revision up to which ``follower`` has taken everything, as it said last."""
        with self._environment.begin(db=self._positions) as txn:
            value = txn.get(follower.encode())
        return 0 if value is None else int(_REVISION.unpack(value)[0])

    def set_position(self, follower: str, revision: int | None) -> None:
        """Keep a follower's position; None forgets it. Raises NotStored."""
        with self._writing() as txn:
            if revision is None:
                txn.delete(follower.encode(), db=self._positions)
            else:
                txn.put(follower.encode(), _REVISION.pack(revision), db=self._positions)

    def set_dead(self, dead: dict[int, Dead]) -> None:
        """Keep why items have no vector, of those whose content is not newer by now. Raises NotStored."""
        with self._writing() as txn:
            for item, why in dead.items():
                key = _ID.pack(item)
                if txn.get(key, db=self._revisions) == _REVISION.pack(why.revision):
                    txn.put(key, why.model_dump_json().encode(), db=self._dead)

    def reason(self, item: int) -> str | None:
        """Why ``item`` has no vector; None where it is none of the dead."""
        with self._environment.begin(db=self._dead) as txn:
            value = txn.get(_ID.pack(item))
        return None if value is None else _dead(bytes(value)).reason

    def dead(self, most: int) -> tuple[int, dict[int, Dead]]:
        """How many items are dead, and the first of them."""
        with self._environment.begin(db=self._dead) as txn:
            some = itertools.islice(txn.cursor(), most)
            return int(txn.stat(self._dead)["entries"]), {
                _ID.unpack(key)[0]: _dead(bytes(value)) for key, value in some
            }

    @contextlib.contextmanager
    def _writing(self) -> Iterator["lmdb.Transaction"]:
        try:
            with self._environment.begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            raise NotStored(f"content log '{self.folder}' cannot be written ({first_line(error)})") from None

    def close(self) -> None:
        """Let go of it; nobody may use it any more."""
        self._environment.close()


def _last(txn: "lmdb.Transaction", log: Any) -> int:
    cursor = txn.cursor(db=log)
    return int(_REVISION.unpack(cursor.key())[0]) if cursor.last() else 0


def _after(txn: "lmdb.Transaction", position: int) -> Iterator[Entry]:
    cursor = txn.cursor()
    if cursor.set_range(_REVISION.pack(position + 1)):
        for key, value in cursor:
            yield _entry(bytes(key), bytes(value))


def _bounded(entries: Iterable[Entry], most_bytes: int) -> Iterator[Entry]:
    taken = 0
    for number, entry in enumerate(entries):
        taken += len(entry.content or b"")
        if number and taken > most_bytes:
            return
        yield entry


def _packed(change: Change) -> bytes:
    content = change.content or b""
    crc = zlib.crc32(content, zlib.crc32(_ID.pack(change.item)))
    return _HEAD.pack(change.item, change.content is None, crc) + content


def _entry(key: bytes, value: bytes) -> Entry:
    revision = int(_REVISION.unpack(key)[0])
    item, deleted, crc = _HEAD.unpack_from(value)
    content = value[_HEAD.size :]
    damaged = crc != zlib.crc32(content, zlib.crc32(_ID.pack(item)))
    return Entry(revision, item, None if deleted else content, damaged)


def _dead(value: bytes) -> Dead:
    return validated(Dead, parse_json(value, "a dead letter"), "a dead letter")
