"""The content of all items: what is broken or comes twice is named."""

import pyarrow as pa
import pyarrow.parquet as pq

from tests.train.launch import one_line
from tests.train.scl.tiny import changed, column, scl


def test_a_broken_item_is_named(config, own_pairs):
    contents = column(own_pairs, "items", "content")
    changed(own_pairs, "items", content=pa.array([b"x", *contents[1:]], pa.binary()))
    one_line(scl(config), "'items', item -5, column 'content' cannot be decoded")


def test_an_item_that_comes_twice_is_named(config, own_pairs):
    path = own_pairs / "items" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(1, 1)]), path)
    one_line(scl(config), "2 comes twice")
