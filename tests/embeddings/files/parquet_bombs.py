"""Small parquet files that hold much, lie, or are damaged, and how they are read."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import read_footer


def write(path: Path, table: pa.Table, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **{"compression": "zstd", "write_page_checksum": True, **options})
    return path


def zeros(rows: int, values: int) -> pa.ListArray:
    """``rows`` lists of ``values`` zeros."""
    offsets = np.arange(rows + 1, dtype=np.int32) * values
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.zeros(rows * values, np.int64)))


def varint(value: int, size: int = 0) -> bytes:
    """A positive number as thrift's compact protocol writes it, in at least ``size`` bytes."""
    value, out = value << 1, bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    while len(out) < size:
        out[-1] |= 128
        out.append(0)
    return bytes(out)


def lie(path: Path, true: int, said: int, *, footer: bool) -> Path:
    """Replace the number ``true`` in the footer, or in what is before it."""
    data = bytearray(path.read_bytes())
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    wanted = varint(true)
    replacement = varint(said, len(wanted))
    assert len(replacement) == len(wanted)
    at = data.find(wanted, end if footer else 0)
    while at >= 0 and (footer or at < end):
        data[at : at + len(wanted)] = replacement
        at = data.find(wanted, at + len(wanted))
    path.write_bytes(data)
    return path


def read(path: Path, *columns: str, rows: int = 100) -> pa.Table:
    file = read_footer(path)
    batches = [batch for _, batch in read_batches(file, columns or file.columns.names, rows)]
    return pa.Table.from_batches(batches)


def refusal(path: Path, *columns: str) -> str:
    """What is said of a file that cannot be read: one line with its name."""
    with pytest.raises(InputError) as caught:
        read(path, *columns)
    assert os.fspath(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)
