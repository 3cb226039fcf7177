"""The stream writer: numbers go on, files appear whole, and one that could not be written leaves its number free."""

import pyarrow as pa
import pytest

from embeddings.errors import InputError
from recsys.stream import stream_writer
from recsys.stream.stream_file import read_stream_file
from recsys.stream.stream_writer import StreamWriter

ROWS = pa.table({"item": [3, 1, 2]})


def test_numbers_go_on(tmp_path):
    writer = StreamWriter(tmp_path / "a" / "stream")
    assert [writer.write(ROWS).name, writer.write(ROWS.slice(0, 0)).name] == [f"00000000000{n}.parquet" for n in (1, 2)]
    assert StreamWriter(tmp_path / "a" / "stream").write(ROWS).name == "000000000003.parquet"
    assert read_stream_file(tmp_path / "a" / "stream" / "000000000002.parquet")[1].rows == 0


def test_what_cannot_be_written_takes_no_number(tmp_path, monkeypatch):
    writer = StreamWriter(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stream_writer, "_write", full)
        with pytest.raises(OSError):
            writer.write(ROWS)
    assert list(tmp_path.iterdir()) == []
    assert writer.write(ROWS).name == "000000000001.parquet"
    monkeypatch.setattr(stream_writer, "MOST_ROWS", 2)
    with pytest.raises(InputError, match="3 rows for one file; allowed: 2"):
        writer.write(ROWS)
