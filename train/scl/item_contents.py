"""The content of all items: read once from parquet, then looked up at random in a memory map."""

import contextlib
import mmap
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from embeddings.errors import InputError, first_line
from embeddings.files.parquet_batches import read_batches, refuse_many_values
from embeddings.files.parquet_footer import DataFile, read_footers
from recsys.scl.content_columns import as_content, check_column
from recsys.scl.pairs_schema import Items
from train.data.parquet_files import find_files, fingerprint

_ROWS = 1024  # read at once


class ItemContents:
    """All items of a data folder. The contents are in an unnamed file that is mapped, so that they need no memory.

    ids  [N]  int64, ascending

    Raises InputError for a folder, column or type that is not there, a null, and an id that comes twice.
    """

    def __init__(self, folder: str, about: Items) -> None:
        self.about = about
        self.files = read_footers(find_files(folder, about.path))
        for file in self.files:
            check_pairs_column(file, about.id, "ids")
            check_pairs_column(file, about.column, about.kind)
        rows = sum(int(file.group_rows.sum()) for file in self.files)
        refuse_many_values(self.files, rows, "rows", "write fewer rows, or fix the files")
        ids = self._spool()
        order = np.argsort(ids, kind="stable")
        self.ids, self._places = ids[order], order
        again = np.flatnonzero(np.diff(self.ids) == 0)
        if again.size:
            raise InputError(
                f"'{folder}/{about.path}', column '{about.id}': {self.ids[again[0]]} comes twice ({again.size} such "
                f"ids); allowed: each item once; remove the others"
            )

    @property
    def identity(self) -> str:
        """Equal as long as the items are the same."""
        return f"{fingerprint(self.files)} {self.about.id} {self.about.column}"

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The row of each id, -1 where there is no such item: [n] int64."""
        places = np.minimum(np.searchsorted(self.ids, ids), self.ids.size - 1)
        return np.where(self.ids[places] == ids, places, -1)

    def content(self, row: int) -> Any:
        """Bytes or string of the item in ``row``, by ascending id; bytes where a text is no UTF-8."""
        batch, place = divmod(int(self._places[row]), _ROWS)
        return as_content(self._batches[batch].column(0)[place].as_py(), self.about.kind)

    def name(self, row: int) -> str:
        """What an error calls the item in ``row``."""
        return f"'{self.about.path}', item {self.ids[row]}, column '{self.about.column}'"

    def _spool(self) -> np.ndarray:
        """Copy the contents of all files into a mapped one, in batches of _ROWS rows; return their ids."""
        kind = pa.large_binary()
        schema = pa.schema([("content", kind)])
        ids: list[np.ndarray] = []
        waiting: list[Any] = []
        with _unnamed_file() as spool:
            with pa.ipc.new_file(pa.PythonFile(spool, "w"), schema) as out:
                for file in self.files:
                    for some_ids, contents in _read(file, self.about):
                        ids.append(some_ids)
                        waiting += contents.cast(kind).to_pylist()
                        while len(waiting) >= _ROWS:
                            out.write_batch(pa.record_batch([pa.array(waiting[:_ROWS], kind)], schema=schema))
                            waiting = waiting[_ROWS:]
                if waiting:
                    out.write_batch(pa.record_batch([pa.array(waiting, kind)], schema=schema))
            if not ids:
                raise InputError(f"items '{Path(self.files[0].path).parent}' has no rows; allowed: at least one item")
            spool.flush()
            mapped = mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)  # outlives the file's own descriptor
        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped)))
        self._batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        return np.concatenate(ids)


@contextlib.contextmanager
def _unnamed_file() -> Iterator[IO[bytes]]:
    """A file without a name in TMPDIR, which goes with this process however that ends. Raises InputError."""
    try:
        with tempfile.TemporaryFile() as file:
            yield file
    except OSError as error:
        if error.filename is not None:  # of the data
            raise
        raise InputError(
            f"the items' contents cannot be copied into a temporary file ({first_line(error)}); free space there, or "
            "name another folder in the environment's TMPDIR"
        ) from error


def check_pairs_column(file: DataFile, name: str, kind: str) -> None:
    """Refuse a column of pairs.yaml that is missing or not of ``kind``: image, text or ids. Raises InputError."""
    check_column(file, name, kind, named=", which pairs.yaml names", fix="fix pairs.yaml or the file")


def _read(file: DataFile, about: Items) -> Iterator[tuple[np.ndarray, pa.Array]]:
    done = 0
    for _, batch in read_batches(file, [about.id, about.column], _ROWS):
        for name in (about.id, about.column):
            if batch.column(name).null_count:
                row = done + int(np.flatnonzero(batch.column(name).is_null().to_numpy(zero_copy_only=False))[0])
                raise InputError(f"'{file.path}', row {row}: {name} is null; allowed: a value for each item; remove it")
        done += batch.num_rows
        yield batch.column(about.id).cast(pa.int64()).to_numpy(), batch.column(about.column)
