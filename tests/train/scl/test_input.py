"""What a user gets wrong is said in one line, and nothing is written over."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.train.launch import cli, one_line


def changed(folder, split: str, **columns) -> None:
    path = folder / split / "part-0.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.drop_columns([name])
        if values is not None:
            table = table.append_column(name, values)
    pq.write_table(table, path, row_group_size=10)


def column(folder, split: str, name: str) -> list:
    return pq.read_table(folder / split / "part-0.parquet")[name].to_pylist()


def scl(config, *overrides):
    return cli("scl", "--config", config, *overrides)


@pytest.mark.parametrize("broken", [b"no picture", None])
def test_a_broken_query_is_named_with_its_row(config, own_pairs, broken):
    queries = column(own_pairs, "train", "query")
    queries[23] = broken
    changed(own_pairs, "train", query=pa.array(queries, pa.binary()))
    one_line(scl(config, "train.epochs=1"), "train/part-0.parquet', row 23")


def test_a_broken_item_is_named(config, own_pairs):
    contents = column(own_pairs, "items", "content")
    changed(own_pairs, "items", content=pa.array([b"x", *contents[1:]], pa.binary()))
    one_line(scl(config), "'items', item -5, column 'content' cannot be decoded")


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


def test_an_item_that_comes_twice_is_named(config, own_pairs):
    path = own_pairs / "items" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(1, 1)]), path)
    one_line(scl(config), "2 comes twice")


def test_a_positive_that_is_its_own_negative_is_named(config, own_pairs):
    changed(own_pairs, "train", clicked=pa.array(column(own_pairs, "train", "item")))
    one_line(scl(config), "row 0", "both positive and hard negative (48 such rows)")


def test_an_empty_split_is_refused(config, own_pairs):
    path = own_pairs / "validation" / "part-0.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    one_line(scl(config), "split 'validation'", "has no rows")


def test_more_rows_a_step_than_there_are(config):
    one_line(scl(config, "data.batch_size=49"), "has 48 rows, and a step takes 49; lower data.batch_size")


def test_another_folder_s_checkpoint_is_refused(config):
    assert scl(config, "train.max_steps=2").status == 0
    one_line(scl(config, "run.resume=true", "train.seed=5"), "the checkpoint was made of other rows: seed")
    one_line(scl(config, "run.resume=true", "model.width=9"), "is of another model")
    one_line(scl(config), "exists; set run.name")


def test_a_wrong_key_is_named(config):
    one_line(scl(config, "model.bank.row=5"), "unknown key 'model.bank.row'; did you mean 'rows'?")
