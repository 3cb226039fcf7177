"""Writes a data folder of standard parquet rows, a bounded number of them in memory at a time."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.errors import InputError
from recsys.schema import Schema, save_schema

ROW_GROUP_ROWS = 32_768
ROW_GROUP_VALUES = 4 << 20  # longer lists make smaller row groups, so that a reader's memory stays bounded
FILE_ROWS = 131_072
PROVENANCE = "prepare.json"


@dataclass(frozen=True)
class Lists:
    """A column of lists: row ``i`` is ``values[offsets[i] : offsets[i + 1]]``.

    values   [T]      int64
    offsets  [B + 1]  int32
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, bags: list[list[int]]) -> "Lists":
        """Row ``i`` is ``bags[i]``."""
        ends = np.cumsum([0, *map(len, bags)])
        return cls(np.array([value for bag in bags for value in bag], np.int64), ends.astype(np.int32))

    @classmethod
    def taken(cls, source: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> "Lists":
        """Row ``i`` is ``source[starts[i] : ends[i]]``; the ranges may overlap.

        source  [S]  int64
        starts  [B]  int64
        ends    [B]  int64, at least ``starts``
        """
        offsets = np.zeros(starts.size + 1, np.int64)
        np.cumsum(ends - starts, out=offsets[1:])
        return cls(source[ranges(starts, ends)], offsets.astype(np.int32))

    def __len__(self) -> int:
        return self.offsets.size - 1

    def rows(self, index: np.ndarray) -> "Lists":
        """The rows ``index`` [n] int64, in that order; one may come several times."""
        return Lists.taken(self.values, self.offsets[index].astype(np.int64), self.offsets[index + 1].astype(np.int64))

    def newest(self, length: int) -> "Lists":
        """The last ``length`` values of each row."""
        starts, ends = self.offsets[:-1].astype(np.int64), self.offsets[1:].astype(np.int64)
        if not (ends - starts > length).any():
            return self
        return Lists.taken(self.values, np.maximum(starts, ends - length), ends)

    def where(self, keep: np.ndarray) -> "Lists":
        """The values for which ``keep`` [T] bool is true."""
        if keep.all():
            return self
        before = np.zeros(keep.size + 1, np.int32)
        np.cumsum(keep, out=before[1:])
        return Lists(self.values[keep], before[self.offsets])


def ranges(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """``starts[i], ..., ends[i] - 1`` of every i, laid end to end: int64."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)


Columns = dict[str, np.ndarray | Lists | pa.Array]


def picked(columns: Columns, index: np.ndarray) -> Columns:
    """The rows ``index`` [n] int64 of every column, in that order; one may come several times."""
    return {name: c.rows(index) if isinstance(c, Lists) else c[index] for name, c in columns.items()}


@dataclass
class Count:
    """What one split holds."""

    rows: int = 0
    positives: int = 0


def row_group_rows(max_length: int) -> int:
    """Rows of a row group whose longest list has ``max_length`` values."""
    return max(1, min(ROW_GROUP_ROWS, ROW_GROUP_VALUES // max(max_length, 1)))


class SplitWriter:
    """Appends rows to ``folder/part-00000.parquet`` and on, in full row groups; the last one may be short.

    Files hold ``file_rows`` rows (whole row groups; the last may hold fewer). Use as a context manager.
    """

    def __init__(self, folder: Path, group_rows: int = ROW_GROUP_ROWS, file_rows: int = FILE_ROWS) -> None:
        folder.mkdir(parents=True)
        self.count = Count()
        self._folder = folder
        self._group_rows = group_rows
        self._groups_per_file = max(1, file_rows // group_rows)
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._groups = self._files = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, columns: Columns) -> None:
        """Append rows. ``columns`` has the same names and dtypes on each call; ``label`` is int8, 0 or 1."""
        table = pa.table({name: _arrow(column) for name, column in columns.items()})
        if not table.num_rows:
            return
        self.count.rows += table.num_rows
        if "label" in columns:
            self.count.positives += int(columns["label"].sum(dtype=np.int64))
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= self._group_rows:
            whole = pa.concat_tables(self._waiting)
            start = 0
            while whole.num_rows - start >= self._group_rows:
                self._write_group(whole.slice(start, self._group_rows))
                start += self._group_rows
            rest = whole.slice(start)
            self._waiting, self._waiting_rows = ([rest], rest.num_rows) if rest.num_rows else ([], 0)

    def _write_group(self, table: pa.Table) -> None:
        if self._writer is None or self._groups == self._groups_per_file:
            self._close_file()
            self._writer = pq.ParquetWriter(
                self._folder / f"part-{self._files:05d}.parquet",
                table.schema,
                compression="zstd",
                compression_level=1,
                write_page_checksum=True,
                write_statistics=False,
            )
            self._files += 1
            self._groups = 0
        self._writer.write_table(table, row_group_size=self._group_rows)
        self._groups += 1

    def _close_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            if self._waiting_rows:
                self._write_group(pa.concat_tables(self._waiting))
            self._close_file()
        elif self._writer is not None:
            with contextlib.suppress(Exception):  # the first error is the one to show; the folder is removed anyway
                self._writer.close()


def _arrow(column: np.ndarray | Lists | pa.Array) -> pa.Array:
    if isinstance(column, Lists):
        return pa.ListArray.from_arrays(pa.array(column.offsets), pa.array(column.values))
    return column if isinstance(column, pa.Array) else pa.array(column)


@contextlib.contextmanager
def data_folder(path: str, *, overwrite: bool = False) -> Iterator[Path]:
    """A fresh folder beside ``path`` that becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises InputError where ``path`` exists without ``overwrite``, is no data folder or cannot be made; or a full disk.
    """
    out = Path(os.path.abspath(path))
    _check_target(out, path, overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    except OSError as error:
        if _disk_full(error):
            raise _no_space(path) from error
        raise InputError(f"cannot write below '{out.parent}' ({error.strerror}); choose another --out") from error
    try:
        folder.chmod(0o755)
        yield folder
        _replace(out, folder)
    except (OSError, InputError) as error:
        cause = error.__cause__ if isinstance(error, InputError) else error
        if isinstance(cause, OSError) and _disk_full(cause):
            raise _no_space(path) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_target(out: Path, path: str, overwrite: bool) -> None:
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / PROVENANCE).is_file():
        raise InputError(f"'{path}' exists and was not made by prepare, so it is not replaced; choose another --out")
    if not overwrite:
        raise InputError(f"'{path}' exists already; pass --overwrite to replace it, or choose another --out")


def _replace(out: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old")
    if out.is_dir():
        os.rename(out, old)
    os.rename(folder, out)
    shutil.rmtree(old, ignore_errors=True)


def _disk_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _no_space(path: str) -> InputError:
    return InputError(
        f"no space left on the disk of '{path}', and nothing was kept there; free some space or choose another --out"
    )


def write_description(
    folder: Path, schema: Schema, generator: str, flags: dict[str, Any], counts: dict[str, Count], **facts: Any
) -> None:
    """Write ``schema.yaml`` and ``prepare.json``: who made the folder, from what, and what it holds."""
    save_schema(schema, str(folder))
    provenance = {
        "generator": generator,
        "flags": flags,
        "seed": flags.get("seed"),  # none where nothing is drawn
        "rows": {split: count.rows for split, count in counts.items()},
        "positives": {split: count.positives for split, count in counts.items()},
        **facts,
        "versions": {"numpy": np.__version__, "pyarrow": pa.__version__},
    }
    (folder / PROVENANCE).write_text(json.dumps(provenance, indent=2) + "\n")
