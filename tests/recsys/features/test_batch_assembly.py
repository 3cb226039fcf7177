"""Batches of plain arrays, as a scorer has them, against those that the reader makes of a parquet file."""

import numpy as np
import torch

from recsys.features.batch_assembly import BatchAssembler
from recsys.features.columns import needed_fields
from recsys.features.ragged import Ragged
from recsys.features.raw_columns import build_row_block
from tests.train.data.rows import ARROW, MAX_LENGTH, SCHEMA, STORED, make_store, unpacked, write_rows
from train.data.reader import RowReader

HISTORY = [3, -5, 99, 7, 8, 1 << 40, 12]  # two more than are kept; 99 and 12 have no vector
CANDIDATES = [40, 12, 7, 7]


def arrays() -> dict:
    """One user and one history, four candidates."""
    count = len(CANDIDATES)
    history = Ragged.from_ranges(np.array(HISTORY), np.zeros(count, int), np.full(count, len(HISTORY)))
    return {
        "user": np.full(count, 17),
        "price": np.linspace(0, 1, count),
        "item_tags": Ragged.from_lists([[1, 2, 3], [], [4], [5, 6]]),
        "item": np.array(CANDIDATES),
        "season": np.full(count, 2),
        "history": history,
        "age": np.full(count, 30, np.uint8),
        "time": np.arange(count),
    }


def scored(with_store: bool, tmp_path) -> tuple:
    stores = {"image": make_store(tmp_path)} if with_store else {}
    columns = arrays()
    block = build_row_block(SCHEMA, needed_fields(SCHEMA, with_labels=False), columns, place="request 17")
    return BatchAssembler(SCHEMA, stores, with_labels=False)(block, slice(0, block.rows))


def test_a_request_gives_the_batch_that_a_file_gives(tmp_path):
    batch, counters = scored(True, tmp_path)
    columns = arrays()
    rows = [
        {
            name: column.take(np.array([row])).values.tolist() if isinstance(column, Ragged) else column[row].item()
            for name, column in columns.items()
        }
        for row in range(len(CANDIDATES))
    ]
    types = ARROW.remove(ARROW.get_field_index("label"))
    write_rows(tmp_path / "train" / "a.parquet", rows, types=types)
    reader = RowReader(
        str(tmp_path), "train", SCHEMA, {"image": make_store(tmp_path / "again")}, batch_size=4, with_labels=False
    )
    (read,) = reader.epoch(0)
    assert batch.labels.isnan().all() and read.labels.isnan().all()
    ours, theirs = unpacked(batch), unpacked(read)
    for row in (*ours, *theirs):
        del row["label"]  # not a number, which equals nothing
    assert ours == theirs
    assert counters == reader.counters and counters.truncated == {"tags": 1, "history": 4}
    stored = sum(item in STORED for item in CANDIDATES) + 4 * sum(item in STORED for item in HISTORY[-MAX_LENGTH:])
    assert (counters.lookups, counters.missing) == ({"image": 24}, {"image": 24 - stored})


def test_one_history_is_looked_up_once(tmp_path):
    batch, _ = scored(True, tmp_path)
    image = batch.frozen["image"]
    assert image.offsets.tolist() == [0, MAX_LENGTH] and image.bag_index.tolist() == [0] * 4


def test_no_store_no_frozen_rows(tmp_path):
    batch, counters = scored(False, tmp_path)
    assert batch.frozen == {} and counters.lookups == {}
    assert batch.dense.dtype == torch.float32 and batch.dense.shape == (4, 2)


def test_any_rows_in_any_order(tmp_path):
    columns = arrays()
    block = build_row_block(SCHEMA, needed_fields(SCHEMA, with_labels=False), columns, place="request 17")
    assemble = BatchAssembler(SCHEMA, {"image": make_store(tmp_path)}, with_labels=False)
    whole, some = (unpacked(assemble(block, rows)[0]) for rows in (slice(0, 4), np.array([3, 0, 3])))
    for row in (*whole, *some):
        del row["label"]
    assert some == [whole[3], whole[0], whole[3]]
