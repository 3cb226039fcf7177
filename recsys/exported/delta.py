"""A delta: rows of the tables that training changed since an exported version or the delta before, and the dense part.

models/shop/000012.d/        deltas of version 000012
    latest.json              the number of the newest one; replaced atomically
    000001/, 000002/ ...     each whole, and never changed again
        manifest.json        what it follows, step, place in the stream, rows of each table, SHA-256 of every file
        dense.safetensors    parameters of the architecture, all of them
        tables/NAME.rows.npy     [n] int64, rows of the table, ascending
        tables/NAME.npy          [n, D] what they are now, in the version's dtype
        tables/NAME.scale.npy    [n] float32, int8 only
        tables/NAME.trained.npy  [n] uint8, 1 where training has changed the row; 0: it is given up, as it once began
        READY                    SHA-256 of manifest.json; the last file that is written
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from embeddings.errors import InputError
from embeddings.files.file_entry import FileEntry
from embeddings.files.npy_file import map_npy
from embeddings.validation import Count, FileName, Strict
from recsys.exported.manifest import DENSE, TABLES, Manifest, TableEntry
from recsys.exported.version_manifest import MANIFEST, VERSION, read_sealed
from recsys.stream.position import StreamPosition

NEXT_FULL = "it is tried again once its files change; the next full version does without it"
MOST_DELTAS = 1 << 23  # of a version


class DeltaManifest(Strict):
    """manifest.json of a delta.

    version  what it is a delta of
    number   its place among that version's deltas, from 1 on
    follows  SHA-256 of the manifest of the delta before or, of the first one, of the version
    step     training steps in all
    created  seconds since 1970, when the weights were taken
    tables   name -> rows that changed; tables without any are left out
    """

    format: Literal[1] = 1
    version: str = Field(pattern=VERSION)
    number: int = Field(ge=1, lt=MOST_DELTAS)
    follows: str = Field(pattern="^[0-9a-f]{64}$")
    step: Count
    created: float
    position: StreamPosition
    tables: dict[FileName, int]
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _has_rows(self) -> "DeltaManifest":
        if any(rows < 1 for rows in self.tables.values()):
            raise ValueError("tables without rows are left out")
        return self

    @property
    def name(self) -> str:
        """The version and how many deltas it has got: 000012+3."""
        return f"{self.version}+{self.number}"


@dataclass(frozen=True)
class TableRows:
    """Rows of a table of [N, D].

    rows     [n]     int64, ascending, each once
    values   [n, D]  float32, float16 or int8
    trained  [n]     uint8
    scale    [n]     float32, where values are int8
    """

    rows: np.ndarray
    values: np.ndarray
    trained: np.ndarray
    scale: np.ndarray | None

    def over(self, older: "TableRows | None") -> "TableRows":
        """These rows, and those of ``older`` that these do not have."""
        if older is None:
            return self
        rows = np.union1d(older.rows, self.rows)
        before, now = np.searchsorted(rows, older.rows), np.searchsorted(rows, self.rows)

        def merged(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            result = np.empty((rows.size, *new.shape[1:]), new.dtype)
            result[before] = old
            result[now] = new
            return result

        scale = None
        if self.scale is not None:
            assert older.scale is not None, "one table has one dtype"
            scale = merged(older.scale, self.scale)
        return TableRows(rows, merged(older.values, self.values), merged(older.trained, self.trained), scale)

    def write(self, folder: Path, name: str) -> None:
        """Write the files of table ``name`` below ``folder``. Raises OSError."""
        arrays = [self.rows, self.values, self.trained, *([] if self.scale is None else [self.scale])]
        for file, array in zip(row_files(name, self.values.dtype.name), arrays, strict=True):
            np.save(folder / file, array)

    @classmethod
    def open(cls, folder: Path, name: str, count: int, entry: TableEntry) -> "TableRows":
        """Map ``count`` rows of table ``name`` below ``folder``. Raises InputError where they are not as said."""
        files = [folder / file for file in row_files(name, entry.dtype)]
        rows = _mapped(files[0], (count,), "int64")
        if rows[0] < 0 or rows[-1] >= entry.rows or (np.diff(rows) <= 0).any():
            raise InputError(f"'{files[0]}' holds no rows of a table of {entry.rows}, ascending; {NEXT_FULL}")
        values, trained = _mapped(files[1], (count, entry.width), entry.dtype), _mapped(files[2], (count,), "uint8")
        scale = _mapped(files[3], (count,), "float32") if entry.dtype == "int8" else None
        for file, numbers in ((files[1], values), *(((files[3], scale),) if scale is not None else ())):
            if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
                raise InputError(f"'{file}' holds numbers that are not finite; {NEXT_FULL}")
        return cls(rows, values, trained, scale)


def row_files(name: str, dtype: str) -> list[str]:
    """Files of a table's changed rows: which, their numbers, trained or not and, for int8, scales."""
    kinds = [".rows", "", ".trained", *([".scale"] if dtype == "int8" else [])]
    return [f"{TABLES}/{name}{kind}.npy" for kind in kinds]


def read_delta(folder: Path, version: Manifest) -> DeltaManifest:
    """The manifest of the delta of ``version`` in ``folder``; what is beside it may be damaged.

    Raises InputError where it is missing, half-written, damaged, or of another model.
    """
    path = folder / MANIFEST
    manifest = read_sealed(folder, DeltaManifest, "delta", NEXT_FULL)
    if (manifest.version, f"{manifest.number:06d}") != (version.version, folder.name):
        raise InputError(f"'{path}' is of {manifest.name}, and lies elsewhere; {NEXT_FULL}")
    wanted = {DENSE}
    for name in manifest.tables:
        if name not in version.tables:
            raise InputError(f"'{path}' has rows of '{name}', and the version no such table; {NEXT_FULL}")
        wanted |= set(row_files(name, version.tables[name].dtype))
    if set(manifest.files) != wanted:
        raise InputError(f"'{path}' lists files {sorted(manifest.files)}, and {sorted(wanted)} are needed; {NEXT_FULL}")
    return manifest


def check_delta(folder: Path, manifest: DeltaManifest) -> None:
    """Compare sizes and digests of a delta's files with its manifest's. Raises InputError."""
    for name, entry in manifest.files.items():
        entry.check(folder / name, True, NEXT_FULL)


def open_tables(folder: Path, tables: Mapping[str, int], version: Manifest) -> dict[str, TableRows]:
    """Map the rows of all tables of a delta. Raises InputError."""
    return {name: TableRows.open(folder, name, count, version.tables[name]) for name, count in tables.items()}


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    try:
        array = map_npy(path, NEXT_FULL)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}); {NEXT_FULL}") from None
    if array.shape != shape or array.dtype != np.dtype(dtype) or not array.flags.c_contiguous:
        raise InputError(
            f"'{path}' is {array.dtype} {list(array.shape)}, and {dtype} {list(shape)} are wanted; {NEXT_FULL}"
        )
    return np.asarray(array)
