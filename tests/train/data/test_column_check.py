"""Columns of the files against the schema: missing, unread, twice, of another type."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.train.data.rows import ARROW, SCHEMA, expected, make_rows, retyped, unpacked, write_rows, write_split


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
    rows = [row | {column: None} for row in make_rows(2)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=retyped(**{column: wrong}))
    refused(f"column '{column}': got type {str(wrong).split('<')[0]}", f"wanted {wanted}; cast the column")


def test_a_file_without_a_column_of_the_first(tmp_path, refused):
    write_split(tmp_path, [5, 5])
    rows = [{k: v for k, v in row.items() if k != "item"} for row in make_rows(5)]
    write_rows(tmp_path / "train" / "part-1.parquet", rows, types=ARROW.remove(ARROW.get_field_index("item")))
    refused("part-1.parquet' has no column 'item', but the first file 'part-0.parquet' has")


OTHERS = {
    "widths": {
        "item": pa.uint16(),
        "user": pa.int32(),
        "label": pa.float64(),
        "price": pa.float32(),
        "age": pa.int64(),
    },
    "half": {"price": pa.float16(), "label": pa.float16(), "age": pa.float32()},
    "large_list": {"history": pa.large_list(pa.int64()), "item_tags": pa.large_list(pa.int16())},
    "not null": {"history": pa.list_(pa.field("element", pa.int64(), nullable=False))},
    "other name": {"history": pa.list_(pa.field("item", pa.int32()))},
    "fixed": {"history": pa.list_(pa.int64(), 3)},
}


@pytest.mark.parametrize("kinds", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("alone", [True, False])
def test_types_may_differ_from_file_to_file(tmp_path, reader, kinds, alone):
    rows = [row | {"item": abs(row["item"]) % 99, "history": [7, 8, 9], "price": 0.5} for row in make_rows(6)]
    rows = [row | {"item_tags": [abs(t) for t in row["item_tags"]]} for row in rows]
    for part, some in enumerate([rows] if alone else [rows[:3], rows[3:]]):
        types = retyped(**kinds) if part == int(not alone) else ARROW
        write_rows(tmp_path / "train" / f"{part}.parquet", some, types=types)
    got = [row for batch in reader().epoch(0) for row in unpacked(batch)]
    assert got == [expected(row) for row in rows]


def test_empty_files_and_empty_lists_of_no_type(tmp_path, reader):
    rows = [row | {"history": []} for row in make_rows(3)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=retyped(history=pa.list_(pa.null())))
    for name, types in {
        "0": pa.schema([f.with_type(pa.null()) for f in ARROW]),  # pandas
        "b": retyped(history=pa.list_(pa.float64())),  # Spark
        "c": pa.schema({"x": pa.int64()}),
    }.items():
        write_rows(tmp_path / "train" / f"{name}.parquet", [], types=types)
    row_reader = reader()
    assert row_reader.unread_columns == []
    assert [row for batch in row_reader.epoch(0) for row in unpacked(batch)] == [expected(row) for row in rows]


def test_rows_of_no_type_are_nulls(tmp_path, refused):
    rows = [row | {"history": None} for row in make_rows(3)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=retyped(history=pa.null()))
    refused("column 'history': got 3 nulls, none are allowed")


@pytest.mark.parametrize(
    "kind",
    [pa.decimal128(9, 2), pa.date32(), pa.binary(), pa.struct([("a", pa.int8())]), pa.map_(pa.int64(), pa.int64()),
     pa.list_(pa.string()), pa.timestamp("ms"), pa.duration("s")],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("column", ["item", "history", "price", "label"])
def test_odd_types_are_refused(tmp_path, refused, kind, column):
    rows = [row | {column: None} for row in make_rows(2)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=retyped(**{column: kind}))
    refused(f"column '{column}': got type", "cast the column, or fix its feature in schema.yaml")


def test_dots_in_names(tmp_path, reader):
    rows = make_rows(6)
    names = {"history": "clicked.items", "user": "item.user", "price": "history.list"}
    dotted = [{names.get(k, k): v for k, v in row.items()} for row in rows]
    write_rows(
        tmp_path / "train" / "a.parquet",
        dotted,
        types=pa.schema([f.with_name(names.get(f.name, f.name)) for f in ARROW]),
    )
    features = [f.model_copy(update={"column": names.get(f.source, f.source)}) for f in SCHEMA.features]
    schema = SCHEMA.model_copy(update={"features": features, "user": "item.user"})
    row_reader = reader(schema=schema)
    assert row_reader.unread_columns == []
    assert [row for batch in row_reader.epoch(0) for row in unpacked(batch)] == [expected(row) for row in rows]
