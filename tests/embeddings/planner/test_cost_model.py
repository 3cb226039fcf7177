"""Bytes against TorchRec's estimator and by hand; times by hand and by what must hold."""

import dataclasses

import numpy as np
import pytest
import torch
import torchrec.optim
from torchrec.distributed.planner.shard_estimators import _calculate_storage_specific_sizes

from embeddings.planner.cost_model import base_ms, dense_bytes, exchanges_ms, shard_cost
from embeddings.planner.hardware import Speed
from embeddings.planner.planner_input import ModelCost
from embeddings.planner.shard_layout import cut_shards
from tests.embeddings.planner.planner_inputs import cpu, cuda, planner_input, table

OPTIMIZERS = {"rowwise_adagrad": torchrec.optim.RowWiseAdagrad, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("sharding_type", ["table_wise", "row_wise", "column_wise"])
def test_state_bytes_against_torchrec(optimizer: str, sharding_type: str) -> None:
    t = table("t", 1001, 32)
    p = planner_input(t, optimizer=optimizer, batch_size=1)
    shards = cut_shards(sharding_type, t.rows, t.columns, 4, 4, 16)
    ours = [p.state_bytes(h, w) for _, _, h, w in shards.tolist()]
    theirs = _calculate_storage_specific_sizes(
        4 * t.rows * t.columns,
        torch.Size([t.rows, t.columns]),
        shards[:, 2:].tolist(),
        sharding_type,
        OPTIMIZERS[optimizer],
    )
    if (optimizer, sharding_type) == (
        "rowwise_adagrad",
        "column_wise",
    ):  # TorchRec forgets that each column shard has its own
        assert ours == [4 * 1001 * 16 + 4 * 1001] * 2
    else:
        assert ours == pytest.approx(theirs, abs=2)


def test_device_bytes_are_state_and_buffers():
    t = table("t", 1000, 16, True, 3.0, 2.0)
    cost = shard_cost(t, "table_wise", "fused", cut_shards("table_wise", 1000, 16, 2, 2, 16), planner_input(t), cpu(2))
    ids, outputs = 64 * 2 * 5, 64 * 2 * 2 * 16
    assert cost.device_bytes.tolist() == [1000 * 16 * 4 + 1000 * 4 + 2 * 8 * ids + 2 * 4 * outputs]
    assert cost.host_bytes.tolist() == [0]


@pytest.mark.parametrize(("rows", "expected"), [(0, 2 * 64), (128, 128), (1000, 1000)])
def test_an_evaluations_batch_has_no_gradients_and_no_second_batch_of_ids(rows: int, expected: int) -> None:
    t = table("t", 1000, 16, True, 3.0, 2.0)
    p = planner_input(t, eval_batch_size=rows)
    cost = shard_cost(t, "table_wise", "fused", cut_shards("table_wise", 1000, 16, 2, 2, 16), p, cpu(2))
    assert cost.device_bytes.tolist() == [1000 * 16 * 4 + 1000 * 4 + expected * 2 * (8 * 5 + 4 * 2 * 16)]


def test_rows_in_host_memory():
    t = table("t", 1000, 16)
    shards = cut_shards("table_wise", 1000, 16, 2, 2, 16)
    whole, uvm, cached = (
        shard_cost(t, "table_wise", kernel, shards, planner_input(t), cuda(2))
        for kernel in ("fused", "fused_uvm", "fused_uvm_caching")
    )
    state = 1000 * 16 * 4 + 1000 * 4
    assert whole.host_bytes[0] == 0 and uvm.host_bytes[0] == cached.host_bytes[0] == state
    assert whole.device_bytes[0] - uvm.device_bytes[0] == state
    assert whole.device_bytes[0] - cached.device_bytes[0] == pytest.approx(0.8 * state, abs=1)
    assert whole.ms[0] < cached.ms[0] < uvm.ms[0]


def test_a_zch_table_keeps_the_id_of_every_row():
    t = table("t", 1024, 16)
    shards = cut_shards("row_wise", 1024, 16, 4, 4, 16)
    plain, zch = (
        shard_cost(x, "row_wise", kernel, shards, planner_input(x), cuda(4))
        for x, kernel in ((t, "fused"), (dataclasses.replace(t, zch=True), "fused"))
    )
    assert (zch.device_bytes - plain.device_bytes).tolist() == [8 * 256] * 4
    in_host = shard_cost(dataclasses.replace(t, zch=True), "row_wise", "fused_uvm", shards, planner_input(t), cuda(4))
    assert (in_host.host_bytes - plain.host_bytes).tolist() == [256 * 16 * 4 + 256 * 4] * 4  # ids stay on the device


@pytest.mark.filterwarnings("ignore:To copy construct:UserWarning")  # TorchRec's own
def test_zch_ids_are_as_torchrec_has_them():
    from embeddings.tables import TableConfig
    from embeddings.zch import zch_bag_collection

    config = TableConfig(
        name="t", num_embeddings=1024, embedding_dim=16, features=("f",), pooled=True, mean_length=(1.0,), zch=True
    )
    of_rows = [
        p for _, p in zch_bag_collection([config]).named_parameters() if p.size(0) == 1024 and not p.requires_grad
    ]
    assert sum(p.element_size() * p.numel() for p in of_rows) == 8 * 1024


def test_time_of_a_table_by_hand():
    """One byte of memory 1 ns, one byte on the wire 0.5 ns, an id 3 ns."""
    topology = cpu(2, speed=Speed(byte_ns=1.0, wire_ns=0.5, pooled_id_ns=3.0, rearranged_ns=0.0, replicated_ns=2.0))
    t = table("t", 1000, 16, True, 5.0)
    p = planner_input(t)
    ids, sent = 64 * 2 * 5, (8 * 64 * 2 * 5 + 2 * 4 * 64 * 2 * 16) / 2
    whole = shard_cost(t, "table_wise", "fused", cut_shards("table_wise", 1000, 16, 2, 2, 16), p, topology)
    assert whole.ms[0] == pytest.approx((3 * ids + 4 * 4 * 16 * ids + 0.5 * sent) * 1e-6)
    half = shard_cost(t, "row_wise", "fused", cut_shards("row_wise", 1000, 16, 2, 2, 16), p, topology)
    sent = (8 * 64 * 5 + 2 * 4 * 64 * 2 * 16) / 2  # half of the ids, but sums for all bags
    assert half.ms.tolist() == pytest.approx([(3 * ids / 2 + 4 * 4 * 16 * ids / 2 + 0.5 * sent) * 1e-6] * 2)
    copies = shard_cost(t, "data_parallel", "dense", cut_shards("data_parallel", 1000, 16, 2, 2, 16), p, topology)
    gradient = 2 * 4 * 1000 * 16 / 2
    by_hand = 3 * ids / 2 + 4 * 4 * 16 * ids / 2 + 0.5 * gradient + 2 * 1000 * 16
    assert copies.ms.tolist() == pytest.approx([by_hand * 1e-6] * 2)


@pytest.mark.parametrize("pooled", [True, False])
def test_row_wise_shards_share_the_lookups_of_a_whole_table(pooled: bool) -> None:
    topology = cuda(4, speed=Speed(byte_ns=1.0, wire_ns=0.0, rearranged_ns=0.0))
    t = table("t", 1000, 16, pooled, 7.0)
    whole = shard_cost(
        t, "table_wise", "fused", cut_shards("table_wise", 1000, 16, 4, 4, 16), planner_input(t), topology
    )
    rows = shard_cost(t, "row_wise", "fused", cut_shards("row_wise", 1000, 16, 4, 4, 16), planner_input(t), topology)
    assert rows.ms.sum() == pytest.approx(whole.ms.sum()) and np.ptp(rows.ms) == pytest.approx(0)


def test_empty_shards_cost_nothing():
    t = table("t", 3, 16)
    cost = shard_cost(t, "row_wise", "fused", cut_shards("row_wise", 3, 16, 8, 8, 16), planner_input(t), cuda(8))
    assert cost.device_bytes[3:].tolist() == cost.ms[3:].tolist() == [0] * 5 and cost.ms[:3].min() > 0


def test_one_rank_sends_nothing():
    t = table("t")
    one = cuda(1, speed=Speed(byte_ns=0.0, wire_ns=1.0, rearranged_ns=0.0))
    assert (
        shard_cost(t, "table_wise", "fused", cut_shards("table_wise", 1000, 16, 1, 1, 16), planner_input(t), one).ms[0]
        == 0
    )


def test_dense_part():
    p = planner_input(model_cost=ModelCost(parameters=1000, flops=1e6, activations=500, batch_bytes=80), batches=4)
    assert dense_bytes(p) == (16_000, 64 * (4 * 500 + 4 * 80))
    evaluated = planner_input(
        model_cost=ModelCost(activations=500, eval_activations=20, batch_bytes=80), batches=4, eval_batch_size=640
    )
    assert dense_bytes(evaluated) == (0, 640 * (4 * 20 + 4 * 80))
    speed = Speed(step_ms=2.0, gflop_ms=3.0, activation_ns=5.0)
    expected = 2 + 64 * 1e6 * 1e-9 * 3 + 64 * 500 * 5e-6
    assert base_ms(p, cuda(1, speed=speed)) == pytest.approx(expected)
    wire = 2 * 4 * 1000 / 2 / 200e9 * 1e3
    assert base_ms(p, cuda(2, speed=speed)) == pytest.approx(expected + wire)
    assert base_ms(p, cuda(1)) == pytest.approx(64 * 1e6 / 30e12 * 1e3 + 64 * 500 * 16 / 1000e9 * 1e3)


def test_exchanges():
    kinds = {("bags", "table_wise"), ("bags", "data_parallel"), ("sequences", "table_wise")}
    assert exchanges_ms(kinds, Speed(exchange_us=100)) == pytest.approx(0.2)
