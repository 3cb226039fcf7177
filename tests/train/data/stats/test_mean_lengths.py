"""Mean lengths from footers, against the lists themselves."""

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.schema import Schema
from train.data.stats.mean_lengths import mean_lengths

LISTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9]]


def write(folder, columns: dict) -> None:
    (folder / "train").mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "train" / "a.parquet", row_group_size=2)


def schema(user: str, history: str, max_length: int | None = None) -> Schema:
    return Schema.model_validate(
        {
            "user": user,
            "tables": {"user": {"num_embeddings": 5}, "item": {"num_embeddings": 5}},
            "features": [
                {"name": "user", "kind": "id", "table": "user", "column": user},
                {"name": "item", "kind": "id", "table": "item"},
                {"name": "history", "kind": "sequence", "table": "item", "target": "item", "column": history,
                 "max_length": max_length},
            ],
        }
    )  # fmt: skip


def test_a_dot_in_a_name_changes_nothing(tmp_path):
    write(tmp_path / "plain", {"user": [1, 2, 3], "item": [1, 2, 3], "history": LISTS})
    write(tmp_path / "dotted", {"user.id": [1, 2, 3], "item": [1, 2, 3], "item.history": LISTS})
    wanted = {"user": 1, "item": 1, "history": 3}
    assert mean_lengths(str(tmp_path / "plain"), "train", schema("user", "history")) == wanted
    assert mean_lengths(str(tmp_path / "dotted"), "train", schema("user.id", "item.history")) == wanted
    assert mean_lengths(str(tmp_path / "plain"), "train", schema("user", "history", 2))["history"] == 2


def test_a_file_without_rows_or_columns_counts_for_nothing(tmp_path):
    write(tmp_path, {"user": [1, 2, 3], "item": [1, 2, 3], "history": LISTS})
    pq.write_table(pa.table({"x": pa.array([], pa.int64())}), tmp_path / "train" / "b.parquet")
    assert mean_lengths(str(tmp_path), "train", schema("user", "history"))["history"] == 3
