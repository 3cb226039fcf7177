"""Shards that are read under another cut, or not at all: other models, damaged files."""

import os
from pathlib import Path

import pytest
import torch

from embeddings.errors import InputError
from tests.train.checkpoint import earlier
from tests.train.checkpoint.test_shard_files import SHARDS, TABLE
from train.checkpoint.shard_files import write_index, write_shards
from train.checkpoint.shard_reader import read_shards
from train.checkpoint.shards import TensorShard, whole_tensor


def write(folder: Path, shards: list[TensorShard]) -> None:
    parts = [write_shards(folder, rank, shards[rank::2])[0] for rank in range(2)]
    write_index(folder, parts)


@pytest.fixture(params=[write, earlier.save], ids=["today", "earlier"])
def folder(request, tmp_path: Path) -> Path:
    request.param(tmp_path, SHARDS)
    return tmp_path


def cuts() -> list[list[tuple[int, int, int, int]]]:
    """Rows and columns from and to."""
    return [
        [(0, 4, 0, 6)],
        [(0, 1, 0, 6), (1, 4, 0, 6)],
        [(0, 4, 0, 1), (0, 4, 1, 6)],
        [(0, 3, 0, 5), (3, 4, 0, 5), (0, 2, 5, 6), (2, 4, 5, 6)],
        [(1, 3, 2, 4)],
    ]


@pytest.mark.parametrize("cut", cuts())
def test_shards_of_one_cut_are_read_under_another(folder, cut):
    wanted = [TensorShard("t", (4, 6), (a, c), torch.zeros(b - a, d - c)) for a, b, c, d in cut]
    read_shards(folder, wanted)
    for (a, b, c, d), shard in zip(cut, wanted, strict=True):
        assert shard.tensor.equal(TABLE[a:b, c:d])


def test_targets_that_are_views_and_of_another_precision(folder):
    whole = torch.zeros(6, 4).t()
    low = torch.zeros(4, 6, dtype=torch.bfloat16)
    read_shards(folder, [TensorShard("t", (4, 6), (0, 0), whole), TensorShard("t", (4, 6), (0, 0), low)])
    assert whole.equal(TABLE) and low.equal(TABLE.bfloat16())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (whole_tensor("u", torch.zeros(2)), "it has no 'u'"),
        (whole_tensor("t", torch.zeros(4, 5)), r"'t' is of size \[4, 6\] in it, of \[4, 5\] here"),
        (whole_tensor("t", torch.zeros(4, 6, dtype=torch.int64)), "'t' is torch.float32 in it, torch.int64 here"),
    ],
)
def test_another_model_is_said(folder, wanted, words):
    with pytest.raises(InputError, match=rf"is of another model: {words}; set the model back, or start a new run"):
        read_shards(folder, [wanted])


def wanted() -> list[TensorShard]:
    return [TensorShard("t", (4, 6), (0, 0), torch.zeros(4, 6))]


def gone(path: Path) -> None:
    pass


def cut(path: Path) -> None:
    path.write_bytes(b"\x80\x04" + bytes(18))


SPOILT = [gone, cut, Path.mkdir, os.mkfifo]  # a pipe would be waited for


@pytest.mark.parametrize("spoil", SPOILT)
def test_files_that_are_gone_cut_or_no_files_are_damage(folder, spoil):
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        path.unlink()
        spoil(path)
        with pytest.raises(InputError, match=r"is damaged: .*remove it or name another"):
            read_shards(folder, wanted())
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(whole)
    read_shards(folder, wanted())
