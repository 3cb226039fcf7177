"""Bad input of the reader: messages say what, got, allowed and the next step, and name column, file and row group."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from tests.train.data.rows import ARROW, SCHEMA, make_rows, write_rows, write_split
from train.data.reader import RowReader


@pytest.fixture
def refused(tmp_path, reader):
    """Asserts that reading all rows fails with every one of ``parts``, in one line, naming the file."""

    def check(*parts: str, **settings) -> str:
        with pytest.raises(InputError) as caught:
            list(reader(**settings).epoch(0))
        message = str(caught.value)
        for part in (*parts, str(tmp_path)):
            assert part in message
        assert "\n" not in message
        return message

    return check


def retyped(**types: pa.DataType) -> pa.Schema:
    return pa.schema([f.with_type(types.get(f.name, f.type)) for f in ARROW])


def changed(tmp_path, row: int, types: pa.Schema = ARROW, **values) -> None:
    """40 rows in row groups of 8; row ``row`` gets ``values``."""
    rows = make_rows(40)
    rows[row] |= values
    write_rows(tmp_path / "train" / "a.parquet", rows, group=8, types=types)


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


def test_files_without_rows(tmp_path, reader):
    write_rows(tmp_path / "train" / "a.parquet", [])
    with pytest.raises(InputError, match=r"split 'train' has no rows in 1 files; write some"):
        reader()


def test_fewer_rows_than_ranks(tmp_path, reader):
    write_split(tmp_path, [2])
    with pytest.raises(InputError, match=r"'train' has 2 rows for 3 ranks, at least one a rank is needed; start fewer"):
        reader(world_size=3)


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


@pytest.mark.parametrize("column", ["item", "label", "history", "price", "time"])
def test_nulls(tmp_path, refused, column):
    rows = make_rows(40)
    for i in (17, 18, 23, 30):
        rows[i][column] = None
    write_rows(tmp_path / "train" / "a.parquet", rows, group=8)
    refused("a.parquet', row group 2", f"column '{column}': got 3 nulls, none are allowed", batch_size=3)


def test_nulls_inside_lists(tmp_path, refused):
    changed(tmp_path, 9, history=[1, None, 2, None])
    refused("row group 1", "column 'history': got 2 nulls")


@pytest.mark.parametrize(("kind", "value"), [(pa.int8(), 2), (pa.int8(), -1), (pa.float32(), 0.5)])
def test_labels_other_than_0_and_1(tmp_path, refused, kind, value):
    changed(tmp_path, 33, types=retyped(label=kind), label=value)
    refused(
        "row group 4", f"column 'label': 1 labels are not 0 or 1, got {value}; map them to 0 (no click) and 1 (click)"
    )


@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), (float("-inf"), "-inf"), (1e300, "1e+300")])
def test_floats_that_are_not_finite(tmp_path, refused, value, shown):
    changed(tmp_path, 0, price=value)
    refused("row group 0", f"column 'price': 1 values are not finite in float32, got {shown}")


@pytest.mark.parametrize("value", [-1, 4, 1000])
def test_an_id_out_of_range_for_an_identity_table(tmp_path, refused, value):
    changed(tmp_path, 20, season=value)
    refused("row group 2", f"feature 'season': got id {value} (1 such), allowed are 0 to 3 as table 'season'", "modulo")


def test_identity_ranges_count_only_ids_that_are_kept(tmp_path, reader, refused):
    raw = SCHEMA.model_dump()
    raw["tables"]["tag"]["ids"] = "identity"
    schema = SCHEMA.model_validate(raw)
    write_rows(tmp_path / "train" / "a.parquet", [row | {"item_tags": [-5, 99, 0, 10]} for row in make_rows(4)])
    assert len(next(iter(reader(schema).epoch(0)))) == 4
    write_rows(tmp_path / "train" / "a.parquet", [row | {"item_tags": [0, 11]} for row in make_rows(4)])
    refused("feature 'tags': got id 11 (4 such), allowed are 0 to 10", schema=schema)


def test_ids_beyond_int64(tmp_path, refused):
    rows = [row | {"user": 2**63} for row in make_rows(5)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=retyped(user=pa.uint64()))
    refused("column 'user': got id 9223372036854775808, largest allowed is 2^63 - 1")


def test_a_truncated_file(tmp_path, refused):
    write_split(tmp_path, [40, 40])
    path = tmp_path / "train" / "part-1.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    refused("part-1.parquet' is not a readable parquet file", "truncated or corrupt; write or copy it again")


def test_a_file_of_no_bytes(tmp_path, refused):
    write_split(tmp_path, [4])
    (tmp_path / "train" / "part-1.parquet").touch()
    refused("part-1.parquet' is not a readable parquet file")


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


def strict_schema(limit: float):
    raw = SCHEMA.model_dump()
    raw["modalities"]["image"]["max_missing"] = limit
    return SCHEMA.model_validate(raw)


def test_items_without_a_vector(tmp_path, reader, refused):
    write_split(tmp_path, [50])
    row_reader = reader()
    list(row_reader.epoch(0))
    share = row_reader.counters.missing_share("image")
    list(reader(strict_schema(share)).epoch(0))
    message = refused(
        "split 'train', modality 'image'",
        "have no vector in",
        "frozen/image",
        f"at most {share - 0.001:.1%} are allowed",
        "add the missing items to the store, or raise modalities.image.max_missing in schema.yaml",
        schema=strict_schema(share - 0.001),
    )
    assert re.search(rf"{share:.1%} of {row_reader.counters.lookups['image']} item lookups", message)


def test_the_verdict_on_missing_vectors_comes_early_in_long_epochs(tmp_path, reader, monkeypatch):
    monkeypatch.setattr("train.data.reader.LOOKUPS_BEFORE_VERDICT", 30)
    write_split(tmp_path, [400])
    row_reader = reader(strict_schema(0.1))
    read = 0
    with pytest.raises(InputError, match="have no vector"):
        for _ in row_reader.epoch(0):
            read += 1
            assert row_reader.counters.lookups["image"] < 30
    assert 0 < read < 10
