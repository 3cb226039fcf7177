"""The frozen store on disk: item id -> unit vector, memory-mapped. A folder per modality.

ids.npy      [N]     int64, sorted, unique
vectors.npy  [N, M]  float32, float16 or int8; rows of norm 1 (int8: after multiplying by the scale)
scale.npy    [N]     float32, int8 only
meta.json            format, width, dtype, encoder, count; bytes and SHA-256 of each file; one checksum of all; the
                     checksum for which all rows were checked
"""

import os
from functools import cached_property

import numpy as np

from embeddings.frozen.id_index import RowIndex
from embeddings.frozen.store_files import StoredArray, StoreMeta, check_ids, map_array, read_meta
from embeddings.frozen.store_writer import write_store


class FrozenStore:
    """A frozen store, opened. Arrays are memory-mapped: ranks of one machine share the pages they read.

    ids      [N]     int64, sorted, unique
    vectors  [N, M]  float32, float16 or int8
    scale    [N]     float32, or None unless int8
    """

    live = False

    def __init__(self, path: str, meta: StoreMeta, stored: dict[str, StoredArray]) -> None:
        self.path, self.meta, self.stored = path, meta, stored
        self.ids, self.vectors = stored["ids.npy"].array, stored["vectors.npy"].array
        self.scale = stored["scale.npy"].array if "scale.npy" in stored else None
        self.width, self.count, self.dtype = meta.width, meta.count, meta.dtype
        self.encoder, self.checksum = meta.encoder, meta.checksum

    @classmethod
    def open(cls, path: str) -> "FrozenStore":
        """Open the store in folder ``path``, which iopath resolves. Reads headers and ids; see ``check_store``.

        Raises InputError where a file is missing, unreadable, or at odds with meta.json, and where ids are not sorted
        and unique.
        """
        path = os.fspath(path)
        meta = read_meta(path)
        stored = {
            "ids.npy": map_array(path, meta, "ids.npy", (meta.count,), "int64"),
            "vectors.npy": map_array(path, meta, "vectors.npy", (meta.count, meta.width), meta.dtype),
        }
        if meta.dtype == "int8":
            stored["scale.npy"] = map_array(path, meta, "scale.npy", (meta.count,), "float32")
        check_ids(stored["ids.npy"])
        return cls(path, meta, stored)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays' files."""
        return sum(entry.bytes for entry in self.meta.files.values())

    @cached_property
    def _index(self) -> RowIndex:
        return RowIndex(self.ids)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Row of each raw id, -1 for an id that the store does not hold.

        ids      [...]  int64, any value
        returns  [...]  int64
        """
        return self._index.rows(ids)


def build_store(
    path: str,
    ids: np.ndarray,
    vectors: np.ndarray,
    *,
    dtype: str = "float16",
    encoder: str = "",
    overwrite: bool = False,
) -> FrozenStore:
    """Write a frozen store of unit vectors to folder ``path`` and open it.

    The folder is written atomically: an interrupted build leaves nothing. ``vectors`` may be memory-mapped.

        ids      [N]     integers that fit int64, unique, any order; N >= 1
        vectors  [N, M]  float16, float32, float64 or int8; need not be normalised; M >= 1

    ``dtype`` is float32, float16 or int8. int8 vectors stored as int8 keep their values (the scale makes their norm 1).
    ``encoder`` names what made the vectors. Raises InputError for ids that repeat, a row that is zero or not finite,
    wrong shapes or dtypes, an existing ``path`` without ``overwrite``, or a folder that cannot be written.
    """
    write_store(path, ids, vectors, dtype=dtype, encoder=encoder, overwrite=overwrite)
    return FrozenStore.open(path)
