"""Rows of tables out of the shards of several ranks, whatever the cut, and the union of what ranks name."""

import numpy as np
import pytest
import torch

from tests.train.export.test_table_files import CUTS
from train.checkpoint.shards import TensorShard
from train.distributed.ranks import Ranks
from train.nearline.gather_rows import gather_rows, union_of_ranks

ROWS, WIDTH = 53, 6
ONE = Ranks(0, 1, 0, 1, torch.device("cpu"))


@pytest.mark.parametrize("cut", CUTS)
def test_any_shards(cut):
    table = torch.randn(ROWS, WIDTH)
    shards = [TensorShard("k", (ROWS, WIDTH), (a, c), table[a:b, c:d]) for a, b, c, d in CUTS[cut]]
    for wanted in (np.arange(ROWS), np.array([0, 19, 20, 29, 30, 41, 52]), np.array([30])):
        got = gather_rows({"user": wanted}, {"user": "k"}, shards, ONE)["user"]
        assert np.array_equal(got, table.numpy()[wanted]) and got.dtype == np.float32


def test_rows_that_no_shard_holds_are_seen():
    table = torch.randn(20, WIDTH)
    shards = [TensorShard("k", (ROWS, WIDTH), (0, 0), table)]
    got = gather_rows({"user": np.array([3, 40])}, {"user": "k"}, shards, ONE)["user"]
    assert np.isnan(got[1]).all() and not np.isnan(got[0]).any()


def test_one_rank_names_its_own():
    assert union_of_ranks({"user": np.array([3])}, ONE)["user"].tolist() == [3]
