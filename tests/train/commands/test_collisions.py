"""The collisions command: what it prints of a data folder, whole and sampled."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.schema import Schema, save_schema
from tests.train import tiny
from tests.train.data.test_filler_rows import spoil
from train import __main__ as cli

ITEMS = np.arange(3000) * 64  # multiples: all on 4 rows of 256 under modulo


@pytest.fixture
def config(tmp_path):
    schema = {
        "tables": {"item": {"num_embeddings": 256}, "user": {"num_embeddings": 50, "ids": "identity"}},
        "features": [
            {"name": "item", "kind": "id", "table": "item"},
            {"name": "user", "kind": "id", "table": "user"},
            {"name": "history", "kind": "sequence", "table": "item", "target": "item", "max_length": 1},
        ],
    }
    save_schema(Schema.model_validate(schema), str(tmp_path))
    columns = {
        "item": ITEMS,
        "user": ITEMS % 50,
        "history": pa.array([[9, int(i)] for i in ITEMS], pa.list_(pa.int64())),  # 9 is cut off
    }
    tiny.write_split(tmp_path, "train", pa.table(columns))
    (tmp_path / "config.yaml").write_text(f"data: {{path: {tmp_path}}}\n")
    return tmp_path / "config.yaml"


def run(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["train", "collisions", *arguments])
    status = cli.run()
    return status, *capsys.readouterr()


def test_a_census(config, monkeypatch, capsys):
    status, text, _ = run(monkeypatch, capsys, "--config", str(config))
    assert status == 0
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "table 'item': 6,000 lookups of 3,000 distinct ids, 256 rows, ids: modulo"
    assert lines[1] == "ids: modulo  100.0000% of ids and 100.0000% of lookups share a row"
    assert lines[3].endswith("0.1 of the ids with 28,465 rows")
    assert lines[4] == "set ids: hash and num_embeddings: 28465, or ids: zch on CUDA"
    assert lines[5] == "table 'user': 3,000 lookups of 25 distinct ids, 50 rows, ids: identity"
    assert lines[-1] == "ids: identity lets no two ids share a row"


def test_a_table_that_is_large_enough(config, monkeypatch, capsys):
    schema = config.parent / "schema.yaml"
    schema.write_text(schema.read_text().replace("num_embeddings: 256", "num_embeddings: 262144"))
    _, text, _ = run(monkeypatch, capsys, "--config", str(config))
    assert "fine as it is" in text
    schema.write_text(schema.read_text().replace("num_embeddings: 262144", "num_embeddings: 65536"))
    _, text, _ = run(monkeypatch, capsys, "--config", str(config))
    assert "set ids: hash\n" in text


def test_a_sample_says_so_and_reads_twice(config, monkeypatch, capsys):
    monkeypatch.setattr("train.data.stats.table_collisions.SAMPLE", 512)
    monkeypatch.setattr("train.data.stats.distinct_ids._PENDING_IDS", 512)
    schema = config.parent / "schema.yaml"
    schema.write_text(schema.read_text().replace("num_embeddings: 256", "num_embeddings: 4096"))
    status, text, _ = run(monkeypatch, capsys, "--config", str(config), "--share", "0.5")
    assert status == 0
    first, modulo, hashed = text.splitlines()[:3]
    distinct = int(first.split("lookups of ")[1].split(" ")[0].replace(",", ""))
    error = int(first.split("+- ")[1].split(" ")[0])
    assert "of them) distinct ids" in first and 0 < error < 400 and abs(distinct - 3000) < 5 * error
    assert "modulo  100.0000% of ids" in modulo
    share = float(hashed.split("%")[0].split()[-1])
    assert 40 < share < 65, "by chance 52 %, most of the company not in the sample"


def test_rows_that_cannot_be_read(config, monkeypatch, capsys):
    place = config.parent / "train" / "part-0.parquet"
    pq.write_table(pq.read_table(place), place, row_group_size=1000, write_page_checksum=True)
    spoil(place, 1)
    status, _, error = run(monkeypatch, capsys, "--config", str(config))
    assert status == 2 and "row group 1 of 3: data cannot be read" in error
    status, text, _ = run(monkeypatch, capsys, "--config", str(config), "data.on_corrupt=skip")
    assert status == 0
    lines = text.splitlines()
    assert lines[0] == "1,000 of 3,000 rows could not be read and are not counted"
    assert lines[1].startswith("table 'item': 4,000 lookups of 2,000 distinct ids")


def test_a_split_that_is_not_there(config, monkeypatch, capsys):
    status, _, error = run(monkeypatch, capsys, "--config", str(config), "--split", "trian")
    assert status == 2 and "did you mean 'train'" in error
