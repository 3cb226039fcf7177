"""Reads one file of a stream whole, checks all of it, and cuts it into the batches of this rank.

A step takes the next W x batch_size rows of a file, in their order, of which each of the W ranks has an equal share:

    rows   | 0 1 2 3 4 5 6 7 | 8 9 10 11 12 13 14 15 | 16 17 18 |     two ranks, batches of four
    rank 0 | 0 1 2 3         | 8 9 10 11             | 16 17    |
    rank 1 |         4 5 6 7 |           12 13 14 15 |    17 18 |     the last step of a file: all ranks have as many

So steps follow from the files alone, whenever they came, and on ranks of another number whose steps are as large.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

from embeddings.files.parquet_batches import refuse_many_values
from embeddings.files.parquet_footer import DataFile
from embeddings.frozen.vector_store import VectorStore
from recsys.batch import Batch
from recsys.features.batch_assembly import BatchAssembler
from recsys.features.columns import needed_fields
from recsys.features.read_counters import ReadCounters
from recsys.features.row_block import RowBlock
from recsys.schema import Schema
from recsys.stream.stream_file import StreamMark, read_stream_file
from train.data.column_check import check_columns
from train.data.parquet_files import chunk_rows
from train.data.prefetch import PrefetchThread
from train.data.shard_plan import Segment
from train.data.shuffle_buffer import RowDecoder


class StreamFile:
    """A file that was read whole. ``rows`` is None where it has none."""

    def __init__(self, mark: StreamMark, rows: RowBlock | None) -> None:
        self.mark, self.rows = mark, rows


class FileReader:
    """Reads files of a stream, on one of ``world_size`` ranks.

    Args:
        batch_size: rows of a step on each rank.
        prefetch: batches that are made ahead.
    """

    def __init__(
        self,
        schema: Schema,
        stores: dict[str, VectorStore],
        *,
        batch_size: int,
        prefetch: int,
        rank: int,
        world_size: int,
    ) -> None:
        self._schema, self._fields = schema, needed_fields(schema, True)
        self._assemble = BatchAssembler(schema, stores, True)
        self._batch_size, self._prefetch, self._rank, self._world_size = batch_size, prefetch, rank, world_size
        self.counters = ReadCounters()

    @property
    def rows_per_step(self) -> int:
        """Rows of a step over all ranks."""
        return self._batch_size * self._world_size

    def open(self, path: Path) -> StreamFile:
        """Read a file whole. Raises InputError for what cannot be used of it; FileNotFoundError."""
        file, mark = read_stream_file(path)
        if not mark.rows:
            return StreamFile(mark, None)
        check_columns([file], self._fields, ignored={self._schema.label})
        self._refuse_long_lists(file)
        segments = [Segment(0, group, 0, rows) for group, rows in enumerate(file.group_rows.tolist()) if rows]
        chunk = chunk_rows([file], {field.column for field in self._fields})
        decoder = RowDecoder([file], self._fields, self._schema, segments, chunk)
        blocks, left = [], mark.rows
        while left:
            blocks.append(decoder.take(left))
            left -= blocks[-1].rows
        return StreamFile(mark, RowBlock.concatenate(blocks))

    def batches(self, file: StreamFile, first_row: int) -> Generator[Batch, None, None]:
        """This rank's batches of the rows from ``first_row`` on; closing it ends its thread."""
        steps = self.steps(file, first_row)
        if not steps:
            return
        assert file.rows is not None
        thread = PrefetchThread(self._assembled(file.rows, steps), self._prefetch, "stream")
        try:
            for _ in steps:
                batch, counts = thread.get()
                self.counters.add(counts)
                yield batch
        finally:
            thread.close()

    def steps(self, file: StreamFile, first_row: int) -> list[tuple[int, int]]:
        """First row and end of each step, over all ranks."""
        size, rows = self.rows_per_step, file.mark.rows
        return [(start, min(start + size, rows)) for start in range(first_row, rows, size)]

    def _assembled(self, block: RowBlock, steps: list[tuple[int, int]]) -> Iterator[tuple[Batch, ReadCounters]]:
        for start, end in steps:
            rows = end - start
            first = start + self._rank * rows // self._world_size
            yield self._assemble(block, slice(first, first - (-rows // self._world_size)))

    def _refuse_long_lists(self, file: DataFile) -> None:
        columns = [f.column for f in self._fields if f.kind == "list" and f.max_length is None]
        values = sum(file.values(group, column) for group in range(len(file.group_rows)) for column in columns)
        what = f"values in lists that are kept whole ({', '.join(columns)})"
        refuse_many_values([file], values, what, "set max_length of these features in schema.yaml")
