"""Item counts against Python's Counter."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.schema import Schema
from train.data.stats.item_counts import counts_of, item_counts


def schema(frequency: str) -> Schema:
    return Schema.model_validate(
        {
            "frequency": frequency,
            "label": "clicked",
            "tables": {"item": {"num_embeddings": 5}},
            "features": [{"name": "item", "kind": "id", "table": "item", "column": "item_id"}],
        }
    )


@pytest.fixture
def rows(tmp_path) -> list[tuple[int, int]]:
    """Three files, several row groups, one group without a click, negative and huge ids: (item, label)."""
    rng = np.random.default_rng(0)
    everything = []
    (tmp_path / "train").mkdir()
    for part in range(3):
        items = rng.choice([-(1 << 62), -1, 0, 3, 7, 1 << 40], 40)
        labels = rng.integers(0, 2, 40)
        labels[:10] = 0
        table = pa.table({"item_id": items, "clicked": labels.astype(np.int8), "other": np.zeros(40)})
        pq.write_table(table, tmp_path / "train" / f"{part}.parquet", row_group_size=10)
        everything += list(zip(items.tolist(), labels.tolist(), strict=True))
    return everything


@pytest.mark.parametrize("frequency", ["rows", "clicks"])
def test_counts(tmp_path, rows, frequency):
    wanted = Counter(item for item, label in rows if frequency == "rows" or label == 1)
    ids, counts = item_counts(str(tmp_path), "train", schema(frequency))
    assert ids.dtype == counts.dtype == np.int64
    assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == wanted and ids.tolist() == sorted(wanted)


@pytest.mark.parametrize("kind", [pa.bool_(), pa.float32(), pa.int64()])
def test_labels_of_any_type_that_the_reader_takes(tmp_path, kind):
    (tmp_path / "train").mkdir()
    labels = pa.array([1, 0, 1, 0]).cast(kind)
    pq.write_table(
        pa.table({"item_id": pa.array([4, 4, 5, 6], pa.int32()), "clicked": labels}), tmp_path / "train/a.parquet"
    )
    ids, counts = item_counts(str(tmp_path), "train", schema("clicks"))
    assert (ids.tolist(), counts.tolist()) == ([4, 5], [1, 1])


def test_no_occurrence_at_all(tmp_path):
    (tmp_path / "train").mkdir()
    table = pa.table({"item_id": [1, 2], "clicked": pa.array([0, 0], pa.int8())})
    pq.write_table(table, tmp_path / "train" / "a.parquet")
    ids, counts = item_counts(str(tmp_path), "train", schema("clicks"))
    assert ids.size == counts.size == 0
    assert counts_of(np.array([1, 2, 3]), ids, counts).tolist() == [0, 0, 0]


def test_counts_of_targets_new_ones_among_them():
    ids, counts = np.array([-5, 0, 9]), np.array([2, 7, 1])
    assert counts_of(np.array([9, 10, -6, -5, 4, 0, 0]), ids, counts).tolist() == [1, 0, 0, 2, 0, 7, 7]
    assert counts_of(np.zeros(0, np.int64), ids, counts).tolist() == []


def test_a_corrupt_row_group(tmp_path, rows):
    path = tmp_path / "train" / "1.parquet"
    chunk = pq.read_metadata(path).row_group(2).column(0)
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"1.parquet', row group 2 of 4: data cannot be read"):
        item_counts(str(tmp_path), "train", schema("rows"))
    ids, counts = item_counts(str(tmp_path), "train", schema("rows"), skip_corrupt=True)
    wanted = Counter(item for item, _ in rows[:60] + rows[70:])  # the second file's third group of 10 is not there
    assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == wanted
