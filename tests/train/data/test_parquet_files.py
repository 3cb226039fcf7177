"""The parquet files of a split: folders without any, footers that cannot be read."""

import pytest

from embeddings.errors import InputError
from tests.train.data.rows import SCHEMA, flat, make_rows, times, write_rows, write_split
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
    refused("holds 'rows.csv' (its name does not end in '.parquet') and no file '*.parquet'")


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


def test_folders_of_parquet_are_named(tmp_path, refused):
    write_split(tmp_path, [5], split="train/date=2024-01-01")
    refused(
        "train' holds 'date=2024-01-01' (a folder of a Hive partition) and no file", "directly into it", "as a column"
    )
    (tmp_path / "train" / "date=2024-01-01").rename(tmp_path / "train" / "day1.parquet")
    refused("train' holds 'day1.parquet' (a folder) and no file '*.parquet'")


def test_what_is_passed_over_is_said_once(tmp_path, reader, caplog):
    write_split(tmp_path, [5])
    write_split(tmp_path, [5], split="train/date=2024-01-01")
    for name in ("b.PARQUET", "c.parq", "_SUCCESS", ".x.crc"):
        (tmp_path / "train" / name).touch()
    reader()
    reader(rank=1, world_size=2)
    (record,) = [r for r in caplog.records if r.name.startswith("train.")]
    assert record.getMessage() == (
        f"'{tmp_path / 'train'}': 1 files below 'date=2024-01-01/' are NOT READ and their rows are missing; "
        "passed over: 'b.PARQUET' (its name does not end in '.parquet'), "
        "'c.parq' (its name does not end in '.parquet'), 'date=2024-01-01' (a folder of a Hive partition); "
        "only files '*.parquet' directly in it are read"
    )


def test_files_without_page_checksums_are_counted(tmp_path, reader, caplog):
    for name, checksums in (("a", True), ("b", False), ("c", False)):
        write_rows(tmp_path / "train" / f"{name}.parquet", make_rows(5), write_page_checksum=checksums)
    write_rows(tmp_path / "train" / "d.parquet", [], write_page_checksum=False)
    reader()
    (record,) = [r for r in caplog.records if r.name.startswith("train.")]
    assert "train': 2 of 4 files carry no page checksums, so damage in them may go unseen" in record.getMessage()


def test_lists_that_nothing_cuts_are_in_proportion_to_their_files(tmp_path, reader, refused, monkeypatch):
    import embeddings.files.parquet_batches as parquet_batches

    write_split(tmp_path, [50])
    monkeypatch.setattr(parquet_batches, "MOST_VALUES", 10)
    monkeypatch.setattr(parquet_batches, "MOST_VALUES_A_BYTE", 0)
    whole = [f.model_copy(update={"max_length": None}) for f in SCHEMA.features]
    refused("values in lists that are kept whole (item_tags, history)", "set max_length of these features",
            schema=SCHEMA.model_copy(update={"features": whole}))  # fmt: skip
    reader()
