"""The writer of a split: row groups, files and column types."""

import itertools

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys.datasets.io.split_writer import SplitWriter, row_group_rows
from recsys.features.ragged import Ragged


def _columns(start, stop):
    label = (np.arange(start, stop) % 3 == 0).astype(np.int8)
    ends = np.arange(start, stop)
    return {
        "label": label,
        "user": np.arange(start, stop),
        "history": Ragged.from_ranges(np.arange(100) * 7, np.maximum(0, ends - 3), ends),
    }


@pytest.mark.parametrize("cuts", [[0, 47], [0, 1, 2, 9, 10, 11, 33, 33, 47], list(range(48))])
def test_rows_come_in_full_groups_whatever_the_calls(tmp_path, cuts):
    with SplitWriter(tmp_path / "train", group_rows=5, file_rows=17) as writer:  # 17 is three whole groups
        for start, stop in itertools.pairwise(cuts):
            writer.write(_columns(start, stop))
    files = sorted((tmp_path / "train").iterdir())
    assert [f.name for f in files] == [f"part-{i:05d}.parquet" for i in range(4)]
    sizes = [
        [m.row_group(g).num_rows for g in range(m.num_row_groups)] for m in (pq.ParquetFile(f).metadata for f in files)
    ]
    assert sizes == [[5, 5, 5]] * 3 + [[2]]
    read = [row for f in files for row in pq.read_table(f).to_pylist()]
    assert [r["user"] for r in read] == list(range(47))
    assert [r["history"] for r in read] == [[7 * j for j in range(max(0, i - 3), i)] for i in range(47)]
    assert (writer.count.rows, writer.count.positives) == (47, 16)


def test_types_are_the_standard_ones(tmp_path):
    with SplitWriter(tmp_path / "train") as writer:
        writer.write(_columns(0, 3))
    schema = pq.read_schema(tmp_path / "train" / "part-00000.parquet")
    assert [str(schema.field(n).type) for n in ("label", "user")] == ["int8", "int64"]
    assert str(schema.field("history").type.value_type) == "int64"


def test_long_lists_make_small_row_groups():
    assert row_group_rows(0) == row_group_rows(20) == 32_768
    assert row_group_rows(1000) * 1000 <= 4 << 20
    assert row_group_rows(10**9) == 1
