"""Filler rows: rows that take the places of those in row groups that cannot be read, so that all ranks have as many."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from embeddings.errors import InputError
from embeddings.files.parquet_footer import DataFile
from train.data.row_groups import read_segment
from train.data.shard_plan import Segment

log = logging.getLogger(__name__)

_FILLER_ROWS = 256  # different ones, at most


@dataclass(frozen=True)
class SourceRows:
    """Rows of one row group, not yet decoded.

    batch   their raw columns
    file    that they are from
    group   number of its row group
    filler  whether they take the places of rows that cannot be read
    """

    batch: pa.RecordBatch
    file: DataFile
    group: int
    filler: bool


class FillerRows:
    """Filler rows: those of the first row group that can be read, in the places of rows that cannot.

    All ranks have as many rows as the footers say, or they would wait for each other; so a skipped row leaves a place
    that another row takes, the same one whenever and from wherever the split is read. Training learns from it once
    more, evaluation leaves it out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._source: SourceRows | None = None
        self._announced: set[tuple[str, int]] = set()

    def rows(self, files: list[DataFile], columns: list[str], first: int, count: int) -> Iterator[SourceRows]:
        """``count`` rows, for those of a row group from ``first`` on. Raises InputError where no group is readable."""
        with self._lock:
            self._source = self._source or _first_readable(files, columns)
            source = self._source
        while count > 0:
            part = source.batch.slice(first % source.batch.num_rows, count)
            first, count = first + part.num_rows, count - part.num_rows
            yield replace(source, batch=part)

    def announce(self, error: InputError, file: DataFile, group: int) -> None:
        """Say once for each row group that it is skipped."""
        with self._lock:
            if (file.path, group) not in self._announced:
                self._announced.add((file.path, group))
                log.warning("%s; data.on_corrupt=skip: its rows are skipped", str(error).split(": the file is")[0])


def _first_readable(files: list[DataFile], columns: list[str]) -> SourceRows:
    for number, file in enumerate(files):
        for group, rows in enumerate(file.group_rows.tolist()):
            try:
                for batch in read_segment(file, columns, Segment(number, group, 0, rows), _FILLER_ROWS):
                    return SourceRows(batch, file, group, filler=True)
            except InputError:
                continue
    raise InputError(f"no row group of {len(files)} files, '{files[0].path}' the first, can be read; write them again")


def record_batches(
    files: list[DataFile], columns: list[str], segments: list[Segment], chunk_rows: int, filler_rows: FillerRows | None
) -> Iterator[SourceRows]:
    """The rows of every segment, at most ``chunk_rows`` at a time.

    Raises InputError naming file and row group of bad data, unless there are ``filler_rows``.
    """
    for s in segments:
        left = s.rows
        try:
            for batch in read_segment(files[s.file], columns, s, chunk_rows):
                left -= batch.num_rows
                yield SourceRows(batch, files[s.file], s.group, filler=False)
        except InputError as error:
            if filler_rows is None:
                raise
            filler_rows.announce(error, files[s.file], s.group)
            yield from filler_rows.rows(files, columns, s.skip + s.rows - left, left)
