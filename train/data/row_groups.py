"""Reads parts of row groups as record batches; what cannot be decoded is an error that names file and row group."""

from collections.abc import Iterator

import pyarrow as pa

from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import DataFile, unreadable_group
from train.data.shard_plan import Segment


def read_segment(file: DataFile, columns: list[str], s: Segment, chunk_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a segment, at most ``chunk_rows`` at a time.

    Raises InputError naming file and row group where they cannot be decoded or are fewer than the footer says.
    """
    left, skip = s.rows, s.skip
    if not left:
        return
    for _, batch in read_batches(file, columns, chunk_rows, [s.group]):
        part = batch.slice(min(skip, batch.num_rows), left)
        skip = max(skip - batch.num_rows, 0)
        left -= part.num_rows
        if part.num_rows:
            yield part
        if not left:
            return
    raise unreadable_group(file, s.group, f"{left} of {s.skip + s.rows} rows are missing")
