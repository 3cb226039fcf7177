"""Row groups that cannot be decoded, or changed since their footer was read."""

import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from embeddings.files.parquet_footer import read_footer
from tests.train.data.rows import make_rows, write_rows, write_split
from train.data.row_groups import read_segment
from train.data.shard_plan import Segment


@pytest.mark.parametrize("checksums", [False, True])
def test_a_corrupt_row_group(tmp_path, refused, checksums):
    path = tmp_path / "train" / "a.parquet"
    write_rows(path, make_rows(40), group=8, write_page_checksum=checksums, compression="zstd")
    chunk = pq.read_metadata(path).row_group(3).column(1)
    data = bytearray(path.read_bytes())
    start, middle = chunk.dictionary_page_offset or chunk.data_page_offset, chunk.total_compressed_size // 2
    data[start + middle : start + chunk.total_compressed_size] = b"\xff" * (chunk.total_compressed_size - middle)
    path.write_bytes(data)
    refused("a.parquet', row group 3 of 5: data cannot be read", "write or copy it again")


def test_a_changed_value_is_found_by_the_page_checksum(tmp_path, refused):
    path = tmp_path / "train" / "a.parquet"
    write_rows(path, make_rows(40), group=8, write_page_checksum=True, compression="none", use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(1).column(1)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1  # the last byte of a user id
    path.write_bytes(data)
    refused("a.parquet', row group 1 of 5: data cannot be read (", "could not verify page integrity")


def test_a_file_that_shrinks_while_it_is_read(tmp_path, reader):
    write_split(tmp_path, [40])
    row_reader = reader()
    path = tmp_path / "train" / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"part-0.parquet', row group \d of 10: data cannot be read .* changed since"):
        list(row_reader.epoch(0))


def test_a_file_that_vanishes(tmp_path, reader):
    write_split(tmp_path, [40])
    row_reader = reader()
    (tmp_path / "train" / "part-0.parquet").unlink()
    with pytest.raises(InputError, match=r"part-0.parquet', row group 0 of 10: data cannot be read .*No such file"):
        list(row_reader.epoch(0))


def test_no_rows_of_a_group_without_any(tmp_path):
    path = tmp_path / "a.parquet"
    write_rows(path, [])
    assert list(read_segment(read_footer(path), ["user"], Segment(0, 0, 0, 0), 10)) == []
