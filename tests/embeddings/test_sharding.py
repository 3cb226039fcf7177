"""TorchRec sharders, this machine's hardware, and plans as TorchRec's."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from torchrec.distributed.types import ShardingType

from embeddings.errors import InputError
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.table_constraint import TableConstraint
from embeddings.planner.topology import Topology
from embeddings.sharding import sharders, this_machine, torchrec_plan
from tests.embeddings.planner.planner_inputs import cuda, planner_input, table

CPU = torch.device("cpu")


def test_sharders_offer_every_type_on_every_device():
    bags, sequences, *_ = sharders()
    for device in ("cpu", "cuda"):
        for sharder in (bags, sequences):
            assert set(sharder.sharding_types(device)) == {t.value for t in ShardingType}


def test_this_machine_has_its_own_memory_and_ranks(monkeypatch):
    host = 48 << 30
    monkeypatch.setattr("embeddings.sharding.host_bytes", lambda: host)
    hardware = this_machine(CPU, 4)
    assert hardware.device == "cpu" and hardware.local_world_size == 4
    assert hardware.ddr_gib * 2**30 == pytest.approx(host)
    free = Topology.of(hardware, 4).capacity[0]
    assert 4 * (free + hardware.process_gib * 2**30) == pytest.approx((1 - hardware.spare) * host, abs=64)


def test_speeds_of_another_kind_of_device_are_refused():
    with pytest.raises(InputError, match=r"sharding\.hardware 'h100-80' describes cuda, this run is on cpu"):
        this_machine(CPU, 2, "h100-80")


@pytest.mark.parametrize(
    ("device", "gib", "part"),
    [
        ("NVIDIA H100 80GB HBM3", 79, "h100-80"),
        ("NVIDIA H200", 139, "h200"),
        ("NVIDIA L4", 22, "l4"),
        ("NVIDIA A100-SXM4-40GB", 39, "a100-40"),
        ("NVIDIA A100-SXM4-80GB", 79, "a100-80"),
        ("NVIDIA L40S", 44, None),
        ("NVIDIA GB200", 184, None),
    ],
)
def test_a_device_has_its_own_memory_and_the_speeds_of_a_part_which_is_said_where_that_is_another(
    monkeypatch, device: str, gib: int, part: str | None
):
    about = SimpleNamespace(name=device, total_memory=gib << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: about)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        hardware = this_machine(torch.device("cuda", 0), 8)
        given = this_machine(torch.device("cuda", 0), 8, "l4")
    assert (hardware.hbm_gib, hardware.local_world_size, given.name) == (gib, 8, "l4")
    nearest = "a100-80" if gib > 60 else "a100-40"
    assert hardware.name == (part or nearest)
    if part:
        assert not said
    else:
        (warning,) = said  # and none where the speeds were given
        assert f"no speeds of '{device}'" in str(warning.message) and f"the speeds of {nearest}" in str(warning.message)
        assert "sharding.hardware=FILE" in str(warning.message)


@pytest.mark.parametrize("sharding_type", [t.value for t in ShardingType])
def test_a_plan_as_torchrec_wants_it(sharding_type: str) -> None:
    free = TableConstraint(sharding_types=[sharding_type], min_partition=8)
    p = planner_input(table("a", columns=32), table("s", 77, 16, False), constraints={"a": free})
    plan = PlanSearch(p, cuda(4, local=2)).best().plan
    modules = torchrec_plan(plan).plan
    assert set(modules) == {"sparse.bags", "sparse.sequences"}
    sharding = modules["sparse.bags"]["a"]
    assert (sharding.sharding_type, sharding.ranks) == (sharding_type, plan.tables["a"].ranks)
    if sharding_type == "data_parallel":
        assert sharding.sharding_spec is None and sharding.compute_kernel == "dense"
        return
    covered = torch.zeros(1000, 32, dtype=torch.int64)
    for shard, rank in zip(sharding.sharding_spec.shards, sharding.ranks, strict=True):
        (row, column), (height, width) = shard.shard_offsets, shard.shard_sizes
        covered[row : row + height, column : column + width] += 1
        assert shard.placement.rank() == rank
        assert shard.placement.device() == torch.device("cuda", rank % 2)
    assert (covered == 1).all() and sharding.compute_kernel == "fused"
