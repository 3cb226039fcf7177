"""Items are read in parts that do not depend on files, row groups or who asks."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from tests.train.encoding.shelf import write_items
from train.encoding import item_files as module
from train.encoding.decode_pipeline import decoded_batches
from train.encoding.item_files import find_items


@pytest.mark.parametrize(("files", "group"), [(1, 1000), (1, 7), (3, 10), (5, 1)])
def test_any_run_of_parts_is_the_same_rows(tmp_path, monkeypatch, files, group):
    monkeypatch.setattr(module, "PART_ROWS", (8, 8))
    monkeypatch.setattr(module, "READ_ROWS", 3)
    titles = [f"t{n}" for n in range(61)]
    items = find_items(
        str(write_items(tmp_path / "i", range(61), titles, "title", files, group)), "item", "title", "text"
    )
    assert (items.parts, items.rows(0), items.rows(7)) == (8, 8, 5)
    for run in (range(0, 8), range(0, 1), range(3, 5), range(7, 8)):
        contents = [c for some in items.contents(run) for c in some]
        assert contents == titles[run.start * 8 : run.stop * 8]


def test_batches_begin_with_their_part(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_ROWS", (8, 8))
    source = write_items(tmp_path / "i", range(20), [f"t{n}" for n in range(19)] + [None], "title", group=6)
    items = find_items(str(source), "item", "title", "text")

    def decode(text: str) -> str:
        if text == "t4":
            raise ValueError("four")
        return text.upper()

    batches = list(decoded_batches(items, [range(0, 1), range(2, 3)], decode, 5, 2))
    assert [(b.part, b.ids.tolist(), b.last) for b in batches] == [
        (0, [0, 1, 2, 3, 4], False), (0, [5, 6, 7], True), (2, [16, 17, 18, 19], True)
    ]  # fmt: skip
    assert batches[0].values == [*((f"T{n}", None) for n in range(4)), (None, "ValueError four")]
    assert batches[2].values[-1] == (None, "it is null")


def test_parts_go_by_the_number_of_items():
    for count, rows in ((1, 256), (256, 256), (64 * 256 + 1, 257), (10**6, 15_625), (10**8, 16_384)):
        assert module.ItemFiles([], "item", "x", np.broadcast_to(np.int64(0), count)).part_rows == rows


def _write(path, **columns):
    path.mkdir()
    pq.write_table(pa.table(columns), path / "a.parquet")
    return str(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": [1], "titel": ["a"]}, "has no column 'title'; did you mean 'titel'"),
        ({"item": [1], "title": [3]}, "column 'title' is int64, but the encoder reads texts; allowed: strings"),
        ({"item": [1], "title": [b"x"]}, "column 'title' is binary"),
        ({"item": ["a"], "title": ["a"]}, "column 'item' is string; allowed: signed integers"),
        ({"item": [1, None], "title": ["a", "b"]}, "1 ids are null"),
        ({"item": [5, 6, 5], "title": ["a", "b", "c"]}, r"id 5 repeats \(1 repeats in all\)"),
        ({"item": pa.array([], pa.int64()), "title": pa.array([], pa.string())}, "has no rows"),
    ],
)
def test_wrong_items(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        find_items(_write(tmp_path / "i", **columns), "item", "title", "text")


def test_no_items(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_items(str(tmp_path / "none"), "item", "title", "text")
    with pytest.raises(InputError, match=r"holds no \.parquet file"):
        find_items(str(tmp_path), "item", "title", "text")
