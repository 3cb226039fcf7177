"""Columns of the files against the schema: missing, unread, twice, of another type."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.train.data.rows import ARROW, make_rows, retyped, write_rows, write_split


def test_missing_column(tmp_path, refused):
    rows = [{("histori" if k == "history" else k): v for k, v in row.items()} for row in make_rows(5)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=None)
    refused(
        "a.parquet' has no column 'history'; did you mean 'histori'?", "columns there: ['label',", "fix schema.yaml"
    )


def test_extra_columns_are_named_once_and_not_read(tmp_path, reader, caplog):
    rows = [row | {"colour": "red", "size": 1} for row in make_rows(5)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=None)
    row_reader = reader()
    assert row_reader.unread_columns == ["colour", "size"]
    for epoch in range(2):
        list(row_reader.epoch(epoch))
    reader(rank=1, world_size=2)
    (record,) = [r for r in caplog.records if r.name.startswith("train.")]
    assert record.getMessage() == (
        "split 'train': columns that no feature reads are ignored: 'colour', 'size'; "
        "name them in schema.yaml to use them"
    )


def test_a_label_that_is_not_wanted_is_no_extra_column(tmp_path, reader, caplog):
    write_split(tmp_path, [5])
    assert reader(with_labels=False).unread_columns == [] and "ignored" not in caplog.text


def test_a_column_twice(tmp_path, refused):
    write_split(tmp_path, [5])
    path = tmp_path / "train" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("age", table["age"]), path)
    refused("has 2 columns named 'age'; keep one")


@pytest.mark.parametrize(
    ("column", "wrong", "wanted"),
    [
        ("item", pa.float64(), "an integer column"),
        ("user", pa.string(), "an integer column"),
        ("history", pa.int64(), "a list of integers"),
        ("history", pa.list_(pa.float32()), "a list of integers"),
        ("history", pa.list_(pa.list_(pa.int64())), "a list of integers"),
        ("price", pa.string(), "a float, integer or bool column"),
        ("label", pa.string(), "an integer, bool or float column of 0 and 1"),
        ("label", pa.list_(pa.int8()), "an integer, bool or float column of 0 and 1"),
        ("time", pa.timestamp("us"), "an integer column"),
    ],
)
def test_wrong_type(tmp_path, refused, column, wrong, wanted):
    write_rows(tmp_path / "train" / "a.parquet", [], types=retyped(**{column: wrong}))
    refused(f"column '{column}': got type {str(wrong).split('<')[0]}", f"wanted {wanted}; cast the column")


def test_a_file_unlike_the_first(tmp_path, refused):
    write_split(tmp_path, [5, 5])
    rows = [row | {"item": 3} for row in make_rows(5)]
    write_rows(tmp_path / "train" / "part-1.parquet", rows, types=retyped(item=pa.int32()))
    refused("part-1.parquet', column 'item' is int32, but int64 in the first file 'part-0.parquet'", "write it again")
    rows = [{k: v for k, v in row.items() if k != "item"} for row in make_rows(5)]
    write_rows(tmp_path / "train" / "part-1.parquet", rows, types=ARROW.remove(ARROW.get_field_index("item")))
    refused("part-1.parquet' has no column 'item', but the first file 'part-0.parquet' has")
