"""The shuffle buffer: values that are not allowed name their row group, windows mix row groups, none is read twice."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from tests.train.data.rows import ARROW, SCHEMA, make_rows, retyped, times, write_rows, write_split


def changed(tmp_path, row: int, types: pa.Schema = ARROW, **values) -> None:
    """40 rows in row groups of 8; row ``row`` gets ``values``."""
    rows = make_rows(40)
    rows[row] |= values
    write_rows(tmp_path / "train" / "a.parquet", rows, group=8, types=types)


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


def test_windows_mix_row_groups_and_groups_change_places(tmp_path, reader):
    write_split(tmp_path, [400], group=20)
    batches = times(reader(shuffle_rows=200, batch_size=20).epoch(0))
    assert np.mean([len({t // 20 for t in batch}) for batch in batches]) > 6
    first_groups = {t // 20 for batch in batches[:10] for t in batch}
    second_epoch = times(reader(shuffle_rows=200, batch_size=20).epoch(1))
    assert first_groups != {t // 20 for batch in second_epoch[:10] for t in batch}
    assert len(first_groups) == 10 and first_groups != set(range(10))


def test_skipped_row_groups_are_not_read(tmp_path, reader, monkeypatch):
    write_split(tmp_path, [40], group=4)
    import train.data.row_groups as stream

    read = []
    real = stream.read_batches
    monkeypatch.setattr(stream, "read_batches", lambda *a: (read.extend(a[3]), real(*a))[1])
    row_reader = reader()
    plan = dataclasses.replace(row_reader._own.plan, window_rows=8)
    row_reader._own = row_reader._shards = dataclasses.replace(row_reader._own, plan=plan)
    assert times(row_reader.epoch(0, start=7)) == [[28, 29, 30, 31], [32, 33, 34, 35], [36, 37, 38, 39]]
    assert read == [6, 7, 8, 9]  # windows of two batches: batch 7 is the second of its window
