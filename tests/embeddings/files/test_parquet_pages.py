"""Page headers against what was written, and headers that lie or are cut."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.files.parquet_pages import ChunkPages, PageHeaderError, has_checksum, read_pages
from tests.embeddings.files.parquet_bombs import lie, write


def pages(path: Path, column: int = 0) -> ChunkPages:
    about = pq.read_metadata(path).row_group(0).column(column)
    start = about.dictionary_page_offset or about.data_page_offset
    with open(path, "rb") as file:
        return read_pages(
            lambda offset, size: os.pread(file.fileno(), size, offset),
            start, start + about.total_compressed_size, about.num_values,
        )  # fmt: skip


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("dictionary", [False, True])
def test_pages_of_a_chunk(tmp_path, version, checksums, dictionary):
    values = pa.array([[i, i + 1] for i in range(3000)] + [[], None])
    table = pa.table({"a": values, "text": ["x" * 300] * 3002})
    path = write(tmp_path / "a.parquet", table, data_page_version=version, write_page_checksum=checksums,
                 use_dictionary=dictionary, data_page_size=1000)  # fmt: skip
    found = pages(path)
    assert found.values == 6002 and found.pages > 2 and found.checked == (found.pages if checksums else 0)
    assert bool(found.encodings & {2, 8}) == dictionary and 0 < found.largest_bytes < found.bytes
    assert pages(path, 1).values == 3002
    with open(path, "rb") as file:
        assert has_checksum(lambda offset, size: os.pread(file.fileno(), size, offset), 4) == checksums


def test_long_statistics_are_read_past(tmp_path):
    table = pa.table({"a": ["x" * 4000, "y" * 4000]})
    path = write(tmp_path / "a.parquet", table, use_dictionary=False, write_page_checksum=False)
    assert pages(path).values == 2


@pytest.mark.parametrize(("said", "footer"), [(10, True), (99_999, False)])
def test_pages_that_hold_more_than_the_footer_says(tmp_path, said, footer):
    path = write(tmp_path / "a.parquet", pa.table({"a": np.zeros(20_000, np.int64)}))
    lie(path, 20_000, said, footer=footer)
    with pytest.raises(PageHeaderError, match="values where the footer says"):
        pages(path)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x15\x00\x15",
        b"\x15" + b"\xff" * 11,
        b"\x1f\x00",  # no such kind of field
        b"\x1c" * 99,  # structs in structs
        b"\x15\x00\x15\x02\x15\x02\x2c\x15\x01\x00\x00",  # -1 values
        b"\x15\x00\x15\x02\x15\xfe\xff\xff\xff\x0f\x2c\x15\x02\x00\x00",  # more bytes than there are
        b"\x15\x00\x15\x02\x15\x01\x2c\x15\x02\x00\x00",  # fewer than none
        b"\x15\x00\x15\x02\x15\x02\x25\x00\x00",  # a number where a struct belongs
        b"\x1c\x00\x15\x02\x15\x02\x00",  # a struct where a number belongs
        b"\x15\x04\x15\x02\x15\x02\x4c\x15\x7e\x00\x00",  # a dictionary of more values than bytes
        b"\x18\xff\xff\xff\xff\x0f",  # a string that never ends
    ],
)
def test_headers_that_make_no_sense(header):
    with pytest.raises(PageHeaderError):
        read_pages(lambda offset, size: header[offset : offset + size], 0, 1000, 5)


def test_any_bytes_are_a_header_or_an_error():
    random = np.random.default_rng(0)
    for _ in range(2000):
        data = random.bytes(40)
        try:
            read_pages(lambda offset, size, data=data: data[offset : offset + size], 0, 40, 5)
        except PageHeaderError:
            pass


@pytest.mark.parametrize(
    ("data", "safe"),
    [([], 9), ([(4, 10), (5, 10)], 9), ([(4, 10), (3, 10), (2, 10)], 4), ([(4, 30), (5, 30)], 1),
     ([(3, 5), (3, 5), (2, 5), (1, 20)], 1), ([(3, 5)] * 5, 9)],
)  # fmt: skip
def test_values_that_take_some_bytes_and_a_page(data, safe):
    assert ChunkPages(values=9, data=data).safe_values(20) == safe
