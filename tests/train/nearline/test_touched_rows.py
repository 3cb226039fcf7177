"""Rows that batches look up: of every feature that reads a table, each once, and none is lost."""

import numpy as np
import pytest

from tests.train import tiny
from train.nearline import touched_rows
from train.nearline.file_rows import FileReader
from train.nearline.touched_rows import TouchedRows


def batches(tmp_path, count: int):
    from recsys.stream.stream_writer import StreamWriter

    reader = FileReader(tiny.SCHEMA, {}, batch_size=16, prefetch=2, rank=0, world_size=1)
    file = reader.open(StreamWriter(tmp_path).write(tiny.rows(count, 3)))
    return list(reader.batches(file, 0))


@pytest.mark.parametrize("most", [1 << 21, 5])
def test_all_rows_that_are_looked_up(tmp_path, monkeypatch, most):
    monkeypatch.setattr(touched_rows, "_MOST_KEPT", most)
    touched, table = TouchedRows(tiny.SCHEMA, ["user", "item", "tag"]), tiny.rows(100, 3)
    for batch in batches(tmp_path, 100):
        touched.add(batch)
    items = {i for history in table["history"].to_pylist() for i in history[-6:]} | set(table["item"].to_pylist())
    wanted = {"user": set(table["user"].to_pylist()), "item": items,
              "tag": {tag % 16 for tags in table["tags"].to_pylist() for tag in tags}}  # fmt: skip
    got = touched.rows()
    assert {name: set(rows.tolist()) for name, rows in got.items()} == wanted
    assert all((np.diff(rows) > 0).all() for rows in got.values())
    touched.clear()
    assert touched.rows() == {}


def test_tables_that_the_model_does_not_have(tmp_path):
    touched = TouchedRows(tiny.SCHEMA, ["user"])
    for batch in batches(tmp_path, 20):
        touched.add(batch)
    assert list(touched.rows()) == ["user"]
