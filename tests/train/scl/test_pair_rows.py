"""The pairs of a split: what a user gets wrong in them is said in one line."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.train.launch import one_line
from tests.train.scl.tiny import changed, column, scl


@pytest.mark.parametrize("broken", [b"no picture", None])
def test_a_broken_query_is_named_with_its_row(config, own_pairs, broken):
    queries = column(own_pairs, "train", "query")
    queries[23] = broken
    changed(own_pairs, "train", query=pa.array(queries, pa.binary()))
    one_line(scl(config, "train.epochs=1"), "train/part-0.parquet', row 23")


def test_a_missing_column_is_named_with_the_nearest(config, own_pairs):
    changed(own_pairs, "validation", query=None, item=pa.array(column(own_pairs, "validation", "item")))
    one_line(scl(config), "validation/part-0.parquet' has no column 'query'")


def test_a_column_of_another_kind_is_refused(config, own_pairs):
    changed(own_pairs, "train", query=pa.array(["words"] * 48))
    one_line(scl(config), "column 'query' is string; allowed: binary")


def test_an_item_that_is_not_there_is_named(config, own_pairs):
    items = column(own_pairs, "train", "item")
    changed(own_pairs, "train", item=pa.array([*items[:40], 99, *items[41:]]))
    one_line(scl(config), "row 40: item is 99, which is no item of 'items'")


def test_a_positive_that_is_its_own_negative_is_named(config, own_pairs):
    changed(own_pairs, "train", clicked=pa.array(column(own_pairs, "train", "item")))
    one_line(scl(config), "row 0", "both positive and hard negative (48 such rows)")


def test_an_empty_split_is_refused(config, own_pairs):
    path = own_pairs / "validation" / "part-0.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    one_line(scl(config), "split 'validation'", "has no rows")
