"""Changes to a live index: vectors to put and ids to delete, checked and brought into the stored form."""

import zlib
from dataclasses import dataclass

import numpy as np

from embeddings.errors import InputError
from embeddings.frozen.check_store import RowCheck
from embeddings.frozen.quantise import encoded
from embeddings.frozen.store_writer import checked_vectors
from embeddings.index.key_layout import EncoderMeta


@dataclass(eq=False)
class Change:
    """One call's change, which is committed whole or not at all.

    ids        [n]  int64, unique
    rows            "vectors" and, of int8, "scale", each uint8 [n, bytes of a row]; None: the ids are deleted
    crcs       [n]  uint32, of id and bytes
    only_from  [n]  rows of the index: an id that is elsewhere by now is left as it is

    ``sequence`` or ``error`` is there once it is ``done``; ``found`` of the ids to delete were there.
    """

    number: int
    ids: np.ndarray
    rows: dict[str, np.ndarray] | None = None
    crcs: np.ndarray | None = None
    only_from: np.ndarray | None = None
    done: bool = False
    error: InputError | None = None
    sequence: int = 0
    found: int = 0


def vectors_to_put(path: str, number: int, about: EncoderMeta, ids: np.ndarray, vectors: np.ndarray) -> Change:
    """A change that puts ``vectors`` [n, M] under ``ids`` [n]; of an id that repeats the last one counts.

    Raises InputError for vectors of another width, that are zero or not finite, and for what is no array of them.
    """
    ids, vectors = checked_vectors(ids, vectors, about.dtype)
    _check_width(path, about, vectors)
    values, scale = encoded(ids, vectors, about.dtype)
    ids, last = np.unique(ids[::-1], return_index=True)
    return _change(number, ids, values[::-1][last], None if scale is None else scale[::-1][last])


def stored_to_put(
    path: str, number: int, about: EncoderMeta, ids: np.ndarray, values: np.ndarray, scale: np.ndarray | None
) -> Change:
    """A change that puts rows of a frozen store of the index's dtype, as they are. Raises InputError as above."""
    _check_width(path, about, values)
    wide = values.astype(np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    rows = RowCheck(path, ids.size)
    rows.add(ids, norms if scale is None else norms * scale)
    rows.refuse()
    return _change(number, np.array(ids), values, scale)


def _check_width(path: str, about: EncoderMeta, vectors: np.ndarray) -> None:
    if vectors.shape[1] != about.width:
        raise InputError(
            f"vectors have width {vectors.shape[1]}, but those of encoder '{about.encoder}' in '{path}' have "
            f"{about.width}; another encoder's vectors go under its own name"
        )


def _change(number: int, ids: np.ndarray, values: np.ndarray, scale: np.ndarray | None) -> Change:
    little = np.dtype(values.dtype).newbyteorder("<")
    rows = {"vectors": np.ascontiguousarray(values, little).view(np.uint8).reshape(ids.size, -1)}
    if scale is not None:
        rows["scale"] = np.ascontiguousarray(scale, "<f4").view(np.uint8).reshape(ids.size, 4)
    return Change(number, ids, rows, row_crcs(ids, rows))


def row_crcs(ids: np.ndarray, rows: dict[str, np.ndarray]) -> np.ndarray:
    """CRC-32 of each id and the bytes of its row, uint32 [n]."""
    if not ids.size:
        return np.empty(0, np.uint32)
    whole = np.concatenate([ids.astype("<i8")[:, None].view(np.uint8), *rows.values()], axis=1)
    size, flat = whole.shape[1], memoryview(whole).cast("B")
    return np.array([zlib.crc32(flat[at : at + size]) for at in range(0, len(flat), size)], np.uint32)
