"""Shards on ranks: what is said where they find no room, and that nothing of a failed attempt stays."""

import numpy as np
import pytest

from embeddings.planner.bin_packing import RankLoads, pack_shards
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.sharding_options import ShardingOption, enumerate_options
from embeddings.planner.table_constraint import TableConstraint
from embeddings.planner.topology import Topology
from tests.embeddings.planner.planner_inputs import cuda, planner_input, table

ROOM = 10_000_000


def option(sharding_type: str, topology: Topology, width: int = 16, rows: int = 100_000) -> ShardingOption:
    constraint = TableConstraint(sharding_types=[sharding_type], min_partition=width)
    t = table("t", rows, 64)
    (only,) = enumerate_options(t, planner_input(t, constraints={"t": constraint}), topology)
    return only


def ranks_with(topology: Topology, free: list[float]) -> RankLoads:
    ranks = RankLoads(topology, 0, 0)
    ranks.device[:] = free
    return ranks


def short(o: ShardingOption, ranks: RankLoads) -> int:
    before = ranks.device.copy(), ranks.ms.copy()
    with pytest.raises(NoPlan) as none:
        pack_shards({"t": o}, {}, ranks)
    assert np.allclose(ranks.device, before[0]) and np.allclose(ranks.ms, before[1])
    assert none.value.table == "t" and not none.value.of_host
    return none.value.shortage


@pytest.mark.parametrize("sharding_type", ["grid_shard", "column_wise", "table_column_wise"])
def test_the_shortage_is_that_of_all_blocks(sharding_type: str) -> None:
    """Four blocks; there is room for one, so one rank or host must take what the others lack."""
    topology = cuda(4, local=4 if sharding_type == "table_column_wise" else 2)
    o = option(sharding_type, topology)
    each = o.need
    if sharding_type == "grid_shard":
        ranks, lacks = ranks_with(topology, [1.5 * each] * 2 + [0.0] * 2), [2.5 * each, 1.5 * each, 1.0 * each]
    else:
        ranks, lacks = ranks_with(topology, [1.5 * each, 0.0, 0.0, 0.0]), [each]
    assert short(o, ranks) in [pytest.approx(x, abs=1) for x in lacks] and short(o, ranks) >= each


def test_a_second_block_goes_to_a_host_with_room_where_the_others_are_full():
    topology = cuda(6, local=2)
    o = option("grid_shard", topology)  # four blocks for three hosts, of which two are full
    each = o.need
    ranks = ranks_with(topology, [0.0, 0.0, 4 * each, 4 * each, each / 2, each / 2])
    _, placed = pack_shards({"t": o}, {}, ranks)
    assert placed["t"].tolist() == [2, 3] * 4


def test_blocks_go_to_hosts_that_have_none_first():
    topology = cuda(6, local=2)
    ranks = ranks_with(topology, [ROOM * 10.0] * 6)
    ranks.ms[:] = [0, 0, 50, 50, 90, 90]  # busier, but without a block
    _, placed = pack_shards({"t": option("grid_shard", topology, width=32)}, {}, ranks)
    assert placed["t"].tolist() == [0, 1, 2, 3]


def test_it_says_which_memory_is_short():
    topology = cuda(2, ddr_gib=0.01)
    t = table("t", 1_000_000, 64)
    p = planner_input(
        t, default_constraint=TableConstraint(sharding_types=["table_wise"], compute_kernels=["fused_uvm"])
    )
    (o,) = enumerate_options(t, p, topology)
    with pytest.raises(
        NoPlan, match=r"table 't' finds no room: a rank lacks [\d,]+ bytes of its share of the host's"
    ) as e:
        pack_shards({"t": o}, {}, RankLoads(topology, 0, 0))
    assert e.value.of_host and e.value.shortage == pytest.approx(1_000_000 * 260 - 0.005 * 2**30, rel=1e-3)
