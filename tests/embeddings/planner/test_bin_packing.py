"""Shards on ranks: what is said where they find no room, and that nothing of a failed attempt stays."""

import numpy as np
import pytest

from embeddings.planner.bin_packing import NoPlan, Option, Ranks, pack
from embeddings.planner.cost_model import Machine
from embeddings.planner.planner_input import Constraint
from embeddings.planner.search import options_of
from tests.embeddings.planner.planner_inputs import cuda, problem, table

ROOM = 10_000_000


def option(kind: str, machine: Machine, width: int = 16, rows: int = 100_000) -> Option:
    constraint = Constraint(sharding_types=[kind], min_partition=width)
    t = table("t", rows, 64)
    (only,) = options_of(t, problem(t, constraints={"t": constraint}), machine)
    return only


def ranks_with(machine: Machine, free: list[float]) -> Ranks:
    ranks = Ranks(machine, 0, 0)
    ranks.device[:] = free
    return ranks


def short(o: Option, ranks: Ranks) -> int:
    before = ranks.device.copy(), ranks.ms.copy()
    with pytest.raises(NoPlan) as none:
        pack({"t": o}, {}, ranks)
    assert np.allclose(ranks.device, before[0]) and np.allclose(ranks.ms, before[1])
    assert none.value.table == "t" and not none.value.of_host
    return none.value.shortage


@pytest.mark.parametrize("kind", ["grid_shard", "column_wise", "table_column_wise"])
def test_the_shortage_is_that_of_all_blocks(kind: str) -> None:
    """Four blocks; there is room for one, so one rank or host must take what the others lack."""
    machine = cuda(4, local=4 if kind == "table_column_wise" else 2)
    o = option(kind, machine)
    each = o.need
    if kind == "grid_shard":
        ranks, lacks = ranks_with(machine, [1.5 * each] * 2 + [0.0] * 2), [2.5 * each, 1.5 * each, 1.0 * each]
    else:
        ranks, lacks = ranks_with(machine, [1.5 * each, 0.0, 0.0, 0.0]), [each]
    assert short(o, ranks) in [pytest.approx(x, abs=1) for x in lacks] and short(o, ranks) >= each


def test_a_second_block_goes_to_a_host_with_room_where_the_others_are_full():
    machine = cuda(6, local=2)
    o = option("grid_shard", machine)  # four blocks for three hosts, of which two are full
    each = o.need
    ranks = ranks_with(machine, [0.0, 0.0, 4 * each, 4 * each, each / 2, each / 2])
    _, placed = pack({"t": o}, {}, ranks)
    assert placed["t"].tolist() == [2, 3] * 4


def test_blocks_go_to_hosts_that_have_none_first():
    machine = cuda(6, local=2)
    ranks = ranks_with(machine, [ROOM * 10.0] * 6)
    ranks.ms[:] = [0, 0, 50, 50, 90, 90]  # busier, but without a block
    _, placed = pack({"t": option("grid_shard", machine, width=32)}, {}, ranks)
    assert placed["t"].tolist() == [0, 1, 2, 3]


def test_it_says_which_memory_is_short():
    machine = cuda(2, ddr_gib=0.01)
    t = table("t", 1_000_000, 64)
    p = problem(t, default=Constraint(sharding_types=["table_wise"], compute_kernels=["fused_uvm"]))
    (o,) = options_of(t, p, machine)
    with pytest.raises(
        NoPlan, match=r"table 't' finds no room: a rank lacks [\d,]+ bytes of its share of the host's"
    ) as e:
        pack({"t": o}, {}, Ranks(machine, 0, 0))
    assert e.value.of_host and e.value.shortage == pytest.approx(1_000_000 * 260 - 0.005 * 2**30, rel=1e-3)
