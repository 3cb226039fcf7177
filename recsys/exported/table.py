"""One exported ID table, memory-mapped: rows of float32, float16 or int8 as embeddings, those of deltas over them."""

import copy
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from embeddings.errors import InputError
from embeddings.files.npy_file import map_npy
from recsys.exported.delta import TableRows
from recsys.exported.manifest import TableEntry, table_files
from recsys.exported.version_manifest import EXPORT_AGAIN

_FLOAT32 = np.finfo(np.float32)


def quantised(rows: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows in ``dtype`` and, for int8, the factor of each.

    Floats become int8 by a symmetric scale per row: q = round(x / scale), scale = max|x| / 127. float32 rounds on the
    way, so a number is off by at most scale / 2 + 2^-22 max|x|. A row of zeros stays one. A float16 is off by at most
    2^-11 |x|, or 2^-25 where that is more.

        rows     [n, D]  float32, finite
        returns  [n, D]  ``dtype``, infinite where float16 ends (65,504), and [n] float32 or None
    """
    if dtype != "int8":
        with np.errstate(over="ignore"):
            return rows.astype(dtype), None
    # a normal number, as those below are too coarse, of which 127 are finite
    scale = (np.abs(rows).max(axis=1) / np.float32(127)).clip(_FLOAT32.tiny, np.nextafter(_FLOAT32.max / 127, 0))
    return np.rint(rows / scale[:, None]).clip(-127, 127).astype(np.int8), scale


class Table(Protocol):
    """What a model that is scored asks of an ID table; ``ExportedTable`` says how."""

    def embeddings(self, rows: np.ndarray) -> torch.Tensor: ...

    def trained(self, rows: np.ndarray) -> np.ndarray: ...


class ExportedTable:
    """A table of [N, D], of which all processes of a host share the pages that they read."""

    def __init__(self, folder: Path, name: str, entry: TableEntry) -> None:
        """Map the files of table ``name`` in a version's ``folder``. Raises InputError where they are not as said."""
        files = [folder / file for file in table_files(name, entry.dtype)]
        self.width = entry.width
        self._rows = _mapped(files[0], (entry.rows, entry.width), entry.dtype)
        self._trained = _mapped(files[1], (-(-entry.rows // 8),), "uint8")
        self._scale = _mapped(files[2], (entry.rows,), "float32") if entry.dtype == "int8" else None
        self._newer: TableRows | None = None

    def with_rows(self, newer: TableRows | None) -> "ExportedTable":
        """The same table with the rows of its deltas, in the place of any that were there before."""
        table = copy.copy(self)
        table._newer = newer
        return table

    def embeddings(self, rows: np.ndarray) -> torch.Tensor:
        """Embeddings of ``rows``, zeros for those outside of the table.

        rows     [n]     int64
        returns  [n, D]  float32
        """
        outside = None
        if rows.size and rows.view(np.uint64).max() >= self._rows.shape[0]:  # a row below 0 is a large one, unsigned
            outside = (rows < 0) | (rows >= self._rows.shape[0])
            rows = np.where(outside, 0, rows)
        result = self._rows.take(rows, axis=0).astype(np.float32, copy=False)
        if self._scale is not None:
            result *= self._scale.take(rows)[:, None]
        if self._newer is not None:
            found, place = _found(self._newer.rows, rows)
            values = self._newer.values.take(place, axis=0).astype(np.float32, copy=False)
            if self._newer.scale is not None:
                values *= self._newer.scale.take(place)[:, None]
            result[found] = values
        if outside is not None:
            result[outside] = 0
        return torch.from_numpy(result)

    def trained(self, rows: np.ndarray) -> np.ndarray:
        """Whether training ever changed each of ``rows`` [n] int64: [n] bool, false outside of the table."""
        inside = (rows >= 0) & (rows < self._rows.shape[0])
        known = np.where(inside, rows, 0)
        trained = ((self._trained[known >> 3] >> (known & 7).astype(np.uint8)) & 1).astype(bool)
        if self._newer is not None:
            found, place = _found(self._newer.rows, known)
            trained[found] = self._newer.trained.take(place)
        return inside & trained


def _found(ascending: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of ``rows`` [n] are in ``ascending`` [m], m > 0: their places in both, [k] int64 each."""
    place = np.searchsorted(ascending, rows)
    place[place == ascending.size] = 0
    found = np.flatnonzero(ascending.take(place) == rows)
    return found, place.take(found)


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    try:
        array = map_npy(path, EXPORT_AGAIN)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}); {EXPORT_AGAIN}") from None
    if array.shape != shape or array.dtype != np.dtype(dtype) or not array.flags.c_contiguous:
        raise InputError(
            f"'{path}' is {array.dtype} {list(array.shape)}, but the manifest says {dtype} {list(shape)}; "
            f"{EXPORT_AGAIN}"
        )
    return np.asarray(array)
