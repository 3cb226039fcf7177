"""The parquet files of a split: folders without any, footers that cannot be read."""

import pytest

from embeddings.errors import InputError
from tests.train.data.rows import SCHEMA, flat, times, write_split
from train.data.reader import RowReader


def test_missing_folder(tmp_path, store):
    with pytest.raises(InputError, match=r"data folder '.*nowhere' does not exist; make it with .*prepare.*data\.path"):
        RowReader(str(tmp_path / "nowhere"), "train", SCHEMA, {}, batch_size=4)


def test_missing_split(tmp_path, refused):
    write_split(tmp_path, [5], split="test")
    write_split(tmp_path, [5], split="train")
    refused("split 'trian' is not in", "did you mean 'train'?", "['test', 'train']", split="trian")


def test_empty_folder(tmp_path, refused):
    (tmp_path / "train").mkdir()
    refused("train' is empty; put the split's parquet files directly into it")


def test_folder_without_parquet(tmp_path, refused):
    (tmp_path / "train").mkdir()
    for name in ("rows.csv", "_old.parquet", ".part.parquet"):
        (tmp_path / "train" / name).write_text("1,2")
    refused("holds ['.part.parquet', '_old.parquet', 'rows.csv'] and no file '*.parquet'")


def test_a_truncated_file(tmp_path, refused):
    write_split(tmp_path, [40, 40])
    path = tmp_path / "train" / "part-1.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    refused("part-1.parquet' is not a readable parquet file", "truncated or corrupt; write or copy it again")


def test_a_file_of_no_bytes(tmp_path, refused):
    write_split(tmp_path, [4])
    (tmp_path / "train" / "part-1.parquet").touch()
    refused("part-1.parquet' is not a readable parquet file")


def test_a_giant_row_group_is_read_in_pieces(tmp_path, reader, monkeypatch):
    import train.data.parquet_files as files

    monkeypatch.setattr(files, "CHUNK_ROWS", (1, 32_768))
    monkeypatch.setattr(files, "CHUNK_BYTES", 1000)
    rows = write_split(tmp_path, [200], group=1000)
    row_reader = reader()
    values = sum(6 + len(r["history"]) + len(r["item_tags"]) for r in rows)
    assert 1 <= row_reader._streams._chunk_rows <= 1000 * 200 / (8 * values) < 20
    assert flat(times(row_reader.epoch(0))) == list(range(200))
    shares = [flat(times(reader(rank=rank, world_size=3).epoch(0))) for rank in range(3)]
    assert [share[0] for share in shares] == [0, 67, 134] and flat(shares) == list(range(200))
