"""Files of a stream: what was written is read; every byte that changed, and every other mark, is refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.stream.stream_file import MARK, file_name, last_number, number_of, read_stream_file
from recsys.stream.stream_writer import StreamWriter

ROWS = pa.table({"item": [3, 1, 2], "timestamp": [70, 30, 50]})


def test_a_file_as_it_was_written(tmp_path):
    path = StreamWriter(tmp_path, timestamp="timestamp", first=7).write(ROWS)
    file, mark = read_stream_file(path)
    assert path.name == "000000000007.parquet" and (mark.number, mark.rows, mark.first, mark.last) == (7, 3, 30, 70)
    assert pq.read_table(path).equals(ROWS) and file.group_rows.tolist() == [3]


def test_every_byte_before_the_footer_counts(tmp_path):
    path = StreamWriter(tmp_path).write(ROWS)
    whole, (_, mark) = path.read_bytes(), read_stream_file(path)
    for place in range(4, mark.bytes):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(InputError, match="000000000001"):
            read_stream_file(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="truncated or corrupt"):
        read_stream_file(path)
    path.write_bytes(whole)
    read_stream_file(path)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (None, "no tierwise.stream in its footer"),
        (b"{", "not readable JSON"),
        (b"{}", "number"),
        (b'{"number": 1, "rows": 3, "bytes": 0, "crc32": 0}', "bytes are before its footer"),
        (b'{"number": 2, "rows": 3, "bytes": 0, "crc32": 0}', "says number 2, its name 1"),
        (b'{"number": 1, "rows": 4, "bytes": 0, "crc32": 0}', "3 rows, and 4 were written"),
        (b'{"number": 1, "rows": 3, "bytes": 0, "crc32": 0, "first": 3, "last": 2}', "event times go from 3.0 to 2.0"),
        (b'{"number": 1, "rows": 3, "bytes": 0, "crc32": 0, "first": 3}', "event times go from 3.0 to None"),
        (b" " * 5000, "no tierwise.stream in its footer"),
    ],
)
def test_other_marks_are_refused(tmp_path, said, text):
    path = tmp_path / file_name(1)
    pq.write_table(ROWS.replace_schema_metadata({MARK: said} if said is not None else {}), path)
    with pytest.raises(InputError, match=text):
        read_stream_file(path)


def test_names_of_files():
    assert number_of(file_name(12)) == 12 and number_of(file_name(10**13)) == 10**13
    for name in ("12.parquet", "0000000000012.parquet", "000000000012.arrow", ".000000000012.parquet", "a"):
        assert number_of(name) is None


def test_the_end_of_a_stream(tmp_path):
    writer = StreamWriter(tmp_path)
    assert last_number(tmp_path) is None
    writer.write(ROWS)
    writer.end()
    assert last_number(tmp_path) == 1
    (tmp_path / "end.json").write_text('{"last": -1}')
    with pytest.raises(InputError, match="end"):
        last_number(tmp_path)
