"""Tables of a checkpoint as files: whatever the shards, a block at a time, with the index read once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from embeddings.errors import InputError
from embeddings.initialise import initial_rows
from recsys.exported.manifest import TableEntry
from recsys.exported.table import ExportedTable
from train.checkpoint import shard_reader
from train.checkpoint.shard_files import ShardFiles, write_index, write_shards
from train.checkpoint.shard_reader import ShardReader
from train.checkpoint.shards import TensorShard
from train.export import table_files
from train.export.table_files import InitialWeights, write_table

ROWS, WIDTH, SEED, EPOCH = 53, 6, 4, 1
KEY = "model.sparse.bags.embedding_bags.user.weight"
CUTS = {
    "whole": [(0, 53, 0, 6)],
    "rows": [(0, 30, 0, 6), (30, 53, 0, 6)],
    "columns": [(0, 53, 0, 2), (0, 53, 2, 6)],
    "grid": [(0, 20, 0, 3), (20, 53, 0, 3), (0, 41, 3, 6), (41, 53, 3, 6)],
}
CHANGED = [0, 7, 8, 31, 52]


def weights() -> torch.Tensor:
    """Initial weights, of which training has changed some rows."""
    table = initial_rows("user", SEED, EPOCH, torch.arange(ROWS), (ROWS, WIDTH))
    table[CHANGED, 2] += 0.5
    return table


def checkpoint(folder: Path, table: torch.Tensor, cut: str = "whole") -> ShardReader:
    folder.mkdir()
    parts = []
    for rank, (a, b, c, d) in enumerate(CUTS[cut]):
        shard = TensorShard(KEY, (ROWS, WIDTH), (a, c), table[a:b, c:d].contiguous())
        parts.append(write_shards(folder, rank, [shard])[0])
    write_index(folder, parts)
    return ShardReader(folder)


def written(reader: ShardReader, folder: Path, dtype: str = "float32", seen: list[int] | None = None) -> ExportedTable:
    (folder / "tables").mkdir(parents=True)
    entry = TableEntry(rows=ROWS, width=WIDTH, dtype=dtype)
    initial = InitialWeights(SEED, EPOCH)
    write_table(reader, folder, "user", entry, True, initial, (seen if seen is not None else []).append)
    return ExportedTable(folder, "user", entry)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("numbers", [1, 100, 10**6])
def test_any_shards_in_blocks_of_any_size(tmp_path, monkeypatch, cut, numbers):
    """The smallest block is of 8 rows, whose bits are a byte."""
    monkeypatch.setattr(table_files, "BLOCK_NUMBERS", numbers)
    monkeypatch.setattr(table_files, "_IN_CACHE", 20)
    seen: list[int] = []
    table = written(checkpoint(tmp_path / "c", weights(), cut), tmp_path / "v", seen=seen)
    assert table.embeddings(np.arange(ROWS)).equal(weights())
    assert np.flatnonzero(table.trained(np.arange(ROWS))).tolist() == CHANGED
    assert sum(seen) == ROWS and max(seen) == min(ROWS, max(8, numbers // WIDTH // 8 * 8))


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_blocks_leave_smaller_dtypes_as_they_are(tmp_path, monkeypatch, dtype):
    reader = checkpoint(tmp_path / "c", weights())
    whole = written(reader, tmp_path / "whole", dtype)
    monkeypatch.setattr(table_files, "BLOCK_NUMBERS", 60)
    written(reader, tmp_path / "blocks", dtype)
    for path in (tmp_path / "whole" / "tables").iterdir():
        assert path.read_bytes() == (tmp_path / "blocks" / "tables" / path.name).read_bytes()
    assert (whole.embeddings(np.arange(ROWS)) - weights()).abs().max() < 0.005


def test_the_index_is_read_once_and_no_file_stays_mapped(tmp_path, monkeypatch):
    """Or a table's blocks would cost as much as the index of all tables each, and memory as much as the table."""
    opened = []

    class Counted(ShardFiles):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            opened.append(self)

    monkeypatch.setattr(shard_reader, "ShardFiles", Counted)
    monkeypatch.setattr(table_files, "BLOCK_NUMBERS", 1)
    reader = checkpoint(tmp_path / "c", weights(), "rows")
    written(reader, tmp_path / "v")
    assert len(opened) == 1 and "rank-0000" not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    ("value", "dtype", "words"),
    [
        (np.nan, "float32", "table 'user' holds numbers that are not finite; name another --checkpoint"),
        (np.inf, "int8", "table 'user' holds numbers that are not finite"),
        (70_000.0, "float16", "table 'user' has numbers beyond float16; export it by --table user=float32"),
    ],
)
def test_numbers_that_no_file_takes(tmp_path, value, dtype, words):
    table = weights()
    table[52, 5] = value
    with pytest.raises(InputError, match=words):
        written(checkpoint(tmp_path / "c", table), tmp_path / "v", dtype)


def test_other_rows_than_the_checkpoints(tmp_path):
    reader = checkpoint(tmp_path / "c", weights())
    (tmp_path / "v" / "tables").mkdir(parents=True)
    entry = TableEntry(rows=ROWS + 1, width=WIDTH, dtype="float32")
    with pytest.raises(InputError, match=r"is of another model: 'model\..*' is of size \[53, 6\] in it, of \[54, 6\]"):
        write_table(reader, tmp_path / "v", "user", entry, True, InitialWeights(SEED, EPOCH), lambda rows: None)
    with pytest.raises(InputError, match=r"is of another model: it has no 'model\.sparse\.sequences\.embeddings\.user"):
        write_table(reader, tmp_path / "v", "user", entry, False, InitialWeights(SEED, EPOCH), lambda rows: None)
