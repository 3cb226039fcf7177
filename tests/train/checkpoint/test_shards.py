"""Shards of named tensors: saved, copied, read under another cut."""

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from train.checkpoint.shards import (
    ShardLoadPlanner,
    ShardSavePlanner,
    TensorShard,
    copy_to_host,
    local_shards,
    whole_tensor,
)


def test_the_memory_of_the_copy_is_used_again():
    def shards(value: float, columns: int = 3) -> list[TensorShard]:
        return [TensorShard(key, (4, columns), (0, 0), torch.full((4, columns), value)) for key in ("a", "b")]

    first = copy_to_host(shards(1), [])
    again = copy_to_host(shards(2), first)
    assert [p.tensor.data_ptr() for p in again] == [p.tensor.data_ptr() for p in first]
    assert all((p.tensor == 2).all() for p in again)
    other = copy_to_host(shards(3, columns=5), again)
    assert [p.tensor.tolist() for p in other] == [[[3.0] * 5] * 4] * 2 and (again[0].tensor == 2).all()


def saved(folder, shards: list[TensorShard]) -> None:
    dcp.save({}, checkpoint_id=str(folder), planner=ShardSavePlanner(shards), no_dist=True)


def loaded(folder, shards: list[TensorShard]) -> None:
    dcp.load({}, checkpoint_id=str(folder), planner=ShardLoadPlanner(shards), no_dist=True)


@pytest.mark.filterwarnings("ignore")  # torch says that no other rank takes part
def test_shards_of_one_cut_are_read_under_another(tmp_path):
    whole = torch.arange(24.0).view(4, 6)
    rows = [TensorShard("t", (4, 6), (top, 0), whole[top : top + 2].clone()) for top in (0, 2)]
    saved(tmp_path, [*rows, whole_tensor("n", torch.tensor(7))])
    columns = [TensorShard("t", (4, 6), (0, left), torch.zeros(4, width)) for left, width in ((0, 1), (1, 5))]
    number = whole_tensor("n", torch.zeros((), dtype=torch.int64))
    loaded(tmp_path, [*columns, number])
    assert torch.cat([s.tensor for s in columns], dim=1).equal(whole) and number.tensor.tolist() == [7]
    with pytest.raises(CheckpointException, match="it has no 'u'"):
        loaded(tmp_path, [whole_tensor("u", torch.zeros(2))])
    with pytest.raises(CheckpointException, match=r"'t' is of size \[4, 6\] in it, of \[4, 5\] here"):
        loaded(tmp_path, [whole_tensor("t", torch.zeros(4, 5))])


def test_a_plain_tensor_is_one_replicated_shard():
    (shard,) = local_shards("a", torch.ones(2, 3))
    assert (shard.key, shard.size, shard.offsets, shard.replicated) == ("a", (2, 3), (0, 0), True)
    assert (
        whole_tensor("n", torch.tensor(5)).size == (1,)
        and not whole_tensor("n", torch.ones(2), replicated=False).replicated
    )
