"""What labels and users alone say of a metric, before anything is trained."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.metrics import compute_metrics
from recsys.schema import Schema
from train.data.stats import label_scan
from train.data.stats.label_scan import why_undefined

SCHEMA = Schema.model_validate(
    {
        "label": "clicked",
        "user": "who",
        "tables": {"item": {"num_embeddings": 5}},
        "features": [{"name": "item", "kind": "id", "table": "item"}],
    }
)
ONE_EACH = ([0, 1, 0, 1], [1, 2, 3, 4])
CASES = {
    "no click": ([0, 0, 0, 0], [1, 1, 2, 2]),
    "clicks alone": ([1, 1, 1, 1], [1, 1, 2, 2]),
    "each user one row": ONE_EACH,
    "each user one label": ([0, 1, 0, 1], [1, 2, 1, 2]),
    "one user of both": ([0, 1, 1, 1], [7, 8, 9, 7]),
}


def write(folder: Path, labels, users, group: int = 2, kind=None) -> str:
    (folder / "validation").mkdir(parents=True, exist_ok=True)
    table = pa.table({"clicked": pa.array(labels, kind), "who": users})
    pq.write_table(table, folder / "validation" / "part-0.parquet", row_group_size=group)
    return str(folder)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("metric", ["auc", "gauc", "ne", "log_loss"])
def test_it_says_what_the_metric_would_say(tmp_path, case, metric):
    labels, users = CASES[case]
    scored = compute_metrics(np.array(labels), np.arange(4.0), np.array(users))
    why = why_undefined(write(tmp_path, labels, users), "validation", SCHEMA, metric)
    assert (why is None) == (scored[metric] is not None), why


@pytest.mark.parametrize(
    ("case", "metric", "why"),
    [
        ("no click", "auc", "all 4 rows have label 0"),
        ("clicks alone", "ne", "all 4 rows have label 1"),
        ("each user one row", "gauc", "no user has both labels in 4 rows"),
        ("no click", "gauc", "all 4 rows have label 0"),
    ],
)
def test_the_reason(tmp_path, case, metric, why):
    assert why_undefined(write(tmp_path, *CASES[case]), "validation", SCHEMA, metric) == why


@pytest.mark.parametrize("kind", [pa.bool_(), pa.float32(), pa.uint8()])
def test_labels_of_any_type(tmp_path, kind):
    folder = write(
        tmp_path, [bool(x) for x in ONE_EACH[0]] if kind == pa.bool_() else ONE_EACH[0], ONE_EACH[1], kind=kind
    )
    assert why_undefined(folder, "validation", SCHEMA, "gauc") == "no user has both labels in 4 rows"
    assert why_undefined(folder, "validation", SCHEMA, "auc") is None


def test_it_reads_no_further_than_needed(tmp_path, monkeypatch):
    read, segments = [], label_scan.read_segment
    monkeypatch.setattr(label_scan, "read_segment", lambda *a: (read.append(a[2].group), segments(*a))[1])
    many = np.arange(1000)
    folder = write(tmp_path, many % 2, many // 2, group=100)
    for metric, groups in (("log_loss", []), ("auc", [0]), ("gauc", [0])):
        read.clear()
        assert why_undefined(folder, "validation", SCHEMA, metric) is None and read == groups


def test_users_that_are_remembered_are_bounded(tmp_path, monkeypatch):
    """A split of more users than that is not judged before it is trained on."""
    folder = write(tmp_path, np.arange(1000) % 2, np.arange(1000), group=100)
    assert why_undefined(folder, "validation", SCHEMA, "gauc") == "no user has both labels in 1,000 rows"
    monkeypatch.setattr(label_scan, "_MOST_USERS", 300)
    assert why_undefined(folder, "validation", SCHEMA, "gauc") is None


def test_the_last_row_may_decide(tmp_path):
    labels, users = np.arange(1001) % 2, np.arange(1001)
    labels[-1], users[-1] = 1, 0
    assert why_undefined(write(tmp_path, labels, users, group=100), "validation", SCHEMA, "gauc") is None


def test_rows_that_cannot_be_read_end_it_or_are_passed_over(tmp_path):
    folder = write(tmp_path, *ONE_EACH)
    path = tmp_path / "validation" / "part-0.parquet"
    first = pq.read_metadata(path).row_group(0).column(0)
    raw = bytearray(path.read_bytes())
    raw[4 : first.data_page_offset + 10] = bytes(first.data_page_offset + 6)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="row group 0 of 2"):
        why_undefined(folder, "validation", SCHEMA, "gauc")
    assert why_undefined(folder, "validation", SCHEMA, "auc", skip_corrupt=True) is None
