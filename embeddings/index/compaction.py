"""Compaction of a live index: what still lives in segments full of dead rows is put anew, behind all other rows."""

import numpy as np

from embeddings.errors import InputError
from embeddings.index import key_layout as layout
from embeddings.index.changes import Change, row_crcs
from embeddings.index.commit import held, put_commit
from embeddings.index.key_layout import CHANGE
from embeddings.index.key_store import KeyStore
from embeddings.index.segments import SEGMENT_ROWS, SegmentFiles


def sparse_segments(keys: KeyStore, number: int, dead_share: float) -> tuple[set[int], np.ndarray, np.ndarray]:
    """Segments of which more than ``dead_share`` is dead, and the ids, int64 [n], and rows, int64 [n], that live there.

    Nothing is written to them from here on: the writer's lock is held. Raises InputError.
    """
    with keys.writing() as view:
        state = held(view, number)
        ids, entries = view.all_entries(number, state)
        rows = entries["row"].astype(np.int64)
        tail = state.next_row // SEGMENT_ROWS
        live = np.bincount(rows // SEGMENT_ROWS, minlength=tail + 1)
        written = {segment: min(SEGMENT_ROWS, state.next_row - segment * SEGMENT_ROWS) for segment in state.segments}
        sparse = {segment for segment, rows_of in written.items() if rows_of - live[segment] > dead_share * rows_of}
        if tail in sparse:
            after = state._replace(next_row=(tail + 1) * SEGMENT_ROWS)
            view.txn.put(layout.prefix(b"s", number), after.packed())
    inside = np.isin(rows // SEGMENT_ROWS, list(sparse))
    return sparse, ids[inside], rows[inside]


def moved(keys: KeyStore, files: SegmentFiles, number: int, ids: np.ndarray, rows: np.ndarray) -> Change:
    """A change that puts the vectors in ``rows`` [n] anew, of those of ``ids`` [n] that still have them.

    Raises InputError for a damaged row.
    """
    with keys.reading() as view:
        entries = view.entries(number, ids)
    still = entries["row"] == rows
    ids, rows, crcs = ids[still], rows[still], entries["crc"][still].astype(np.uint32)
    content = {kind: files.read(rows, kind) for kind in files.kinds}
    wrong = np.flatnonzero(row_crcs(ids, content) != crcs)
    if wrong.size:
        raise InputError(
            f"live index '{keys.path}': the vector of id {ids[wrong[0]]} is damaged ({wrong.size} of {ids.size} rows "
            "looked at); put these items again, then compact"
        )
    return Change(number, ids, content, crcs, only_from=rows)


def give_up(keys: KeyStore, files: SegmentFiles, number: int, segments: set[int]) -> None:
    """Remove ``segments``, in which nothing lives any more. The writer's lock is held."""
    with keys.writing() as view:
        state = held(view, number)
        kept = tuple(segment for segment in state.segments if segment not in segments)
        put_commit(view, number, state._replace(segments=kept), np.empty(0, CHANGE))
    files.keep(kept)
