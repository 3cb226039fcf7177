"""Shards of named tensors: made and copied."""

import torch

from train.checkpoint.shards import TensorShard, copy_to_host, local_shards, whole_tensor


def test_the_memory_of_the_copy_is_used_again():
    def shards(value: float, columns: int = 3) -> list[TensorShard]:
        return [TensorShard(key, (4, columns), (0, 0), torch.full((4, columns), value)) for key in ("a", "b")]

    first = copy_to_host(shards(1), [])
    again = copy_to_host(shards(2), first)
    assert [p.tensor.data_ptr() for p in again] == [p.tensor.data_ptr() for p in first]
    assert all((p.tensor == 2).all() for p in again)
    other = copy_to_host(shards(3, columns=5), again)
    assert [p.tensor.tolist() for p in other] == [[[3.0] * 5] * 4] * 2 and (again[0].tensor == 2).all()


def test_a_copy_is_contiguous_whatever_it_is_of():
    columns = torch.arange(12.0).view(3, 4).t()
    (copy,) = copy_to_host([whole_tensor("t", columns)], [])
    assert copy.tensor.is_contiguous() and copy.tensor.equal(columns)


def test_a_plain_tensor_is_one_replicated_shard():
    (shard,) = local_shards("a", torch.ones(2, 3))
    assert (shard.key, shard.size, shard.offsets, shard.replicated) == ("a", (2, 3), (0, 0), True)
    assert (
        whole_tensor("n", torch.tensor(5)).size == (1,)
        and not whole_tensor("n", torch.ones(2), replicated=False).replicated
    )
