"""Commits changes to a live index: vectors' bytes and their fsync, then the keys' commit, which LMDB syncs."""

from collections.abc import Sequence

import numpy as np

from embeddings.errors import InputError, first_line
from embeddings.index import key_layout as layout
from embeddings.index.changes import Change
from embeddings.index.key_layout import CHANGE, ENTRY, State
from embeddings.index.key_store import KeyStore, View
from embeddings.index.segments import SegmentFiles

LOGGED = 1 << 20  # changes that the log keeps; a reader that is further behind reads all ids


def commit(keys: KeyStore, files: SegmentFiles, number: int, changes: Sequence[Change]) -> None:
    """Commit the changes of one encoder in their order, together; fills in their ``sequence`` and ``found``.

    Rows go behind all that were committed. Raises InputError, and nothing is committed, where the disk takes no more.
    """
    putting = [change.rows for change in changes if change.rows is not None]
    content = {kind: np.concatenate([rows[kind] for rows in putting]) for kind in files.kinds} if putting else {}
    changed, written = [], set()
    with keys.writing() as view:  # after a kill, what a reading view shows may be older than what is written to
        state = held(view, number)
        row, items = state.next_row, state.items
        if content and len(content["vectors"]):
            written = _written(keys, files, row, content)
        for change in changes:
            after, more = _applied(view, change, row, state.sequence + 1)
            changed.append(after)
            row, items = row + (0 if change.rows is None else change.ids.size), items + more
        segments = tuple(sorted({*state.segments, *written}))
        after_all = state._replace(next_row=row, items=items, segments=segments)
        put_commit(view, number, after_all, np.concatenate(changed))
    for change in changes:
        change.sequence = state.sequence + 1


def _written(keys: KeyStore, files: SegmentFiles, first: int, content: dict[str, np.ndarray]) -> set[int]:
    """Write rows ``first`` and following to disk; their segments. Raises InputError."""
    try:
        return set(files.write(first, content))
    except OSError as error:
        raise InputError(
            f"live index '{keys.path}' cannot be written ({first_line(error)}); nothing of this was put, and all that "
            "was acknowledged stays; free space, then put it again"
        ) from None


def held(view: View, number: int) -> State:
    """The state of an encoder that the writer has."""
    state = view.state(number)
    assert state is not None, "only the writer drops encoders"
    return state


def put_commit(view: View, number: int, state: State, changed: np.ndarray) -> None:
    """Put the commit after ``state``: what it ``changed``, CHANGE [n], into the log, and the state.

    A commit without changes is in the log too, or readers would miss one. The log is kept short.
    """
    state = state._replace(sequence=state.sequence + 1, logged=state.logged + changed.size)
    view.txn.put(layout.log_key(number, state.sequence), changed.tobytes())
    cursor, logged = view.txn.cursor(), state.logged
    cursor.set_range(layout.prefix(b"l", number))
    while logged > LOGGED and layout.sequence_of(bytes(cursor.key())) < state.sequence:
        logged -= len(cursor.value()) // CHANGE.itemsize
        cursor.delete()
    view.txn.put(layout.prefix(b"s", number), state._replace(logged=logged).packed())


def _applied(view: View, change: Change, first: int, sequence: int) -> tuple[np.ndarray, int]:
    """Put a change's keys, its rows ``first`` and following. Returns what changed, CHANGE [n], and ids that came."""
    txn, ids = view.txn, change.ids
    if change.rows is None:
        there = np.array([txn.delete(key) for key in layout.id_keys(change.number, ids)], bool)
        change.found = int(there.sum())
        return _changed(ids[there], np.full(change.found, -1)), -change.found
    entries = np.empty(ids.size, ENTRY)
    entries["row"], entries["sequence"], entries["crc"] = first + np.arange(ids.size), sequence, change.crcs
    if change.only_from is not None:
        still = view.entries(change.number, ids)["row"] == change.only_from
        ids, entries = ids[still], entries[still]
    raw, size, more = entries.tobytes(), ENTRY.itemsize, 0
    for place, key in enumerate(layout.id_keys(change.number, ids)):
        more += txn.replace(key, raw[place * size : (place + 1) * size]) is None
    return _changed(ids, entries["row"]), more


def _changed(ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    changed = np.empty(ids.size, CHANGE)
    changed["id"], changed["row"] = ids, rows
    return changed
