"""Item counts against a dictionary."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.train import tiny
from train.item_counts import counts_of, item_counts


def test_counts_rows_or_clicks(tmp_path: Path) -> None:
    table = tiny.rows(300, 5)
    tiny.write_split(tmp_path, "train", table)
    items, labels = table["item"].to_pylist(), table["label"].to_pylist()
    for frequency in ("rows", "clicks"):
        schema = tiny.SCHEMA.model_copy(update={"frequency": frequency})
        wanted: dict[int, int] = {}
        for item, label in zip(items, labels, strict=True):
            if frequency == "rows" or label == 1:
                wanted[item] = wanted.get(item, 0) + 1
        ids, counts = item_counts(str(tmp_path), "train", schema)
        assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == wanted
        assert sorted(ids.tolist()) == ids.tolist()


def test_counts_of_known_and_new_targets() -> None:
    ids, counts = np.array([-5, 3, 2**62]), np.array([7, 1, 2])
    targets = np.array([3, 4, -5, 2**62, -(2**63), 2**63 - 1])
    assert counts_of(targets, ids, counts).tolist() == [1, 0, 7, 2, 0, 0]
    assert counts_of(targets, ids[:0], counts[:0]).tolist() == [0] * 6


def test_bool_labels_count_too(tmp_path: Path) -> None:
    table = tiny.rows(50, 6)
    table = table.set_column(0, "label", table["label"].cast(pa.bool_()))
    tiny.write_split(tmp_path, "train", table)
    schema = tiny.SCHEMA.model_copy(update={"frequency": "clicks"})
    assert item_counts(str(tmp_path), "train", schema)[1].sum() == sum(table["label"].to_pylist())
